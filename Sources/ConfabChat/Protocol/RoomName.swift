extension String {
  /// Returns the name of the room with this path, in NFC; nil if the path is too long, or is not normalized like a
  /// request path.
  ///
  /// - Parameter limit: maximum number of bytes.
  func roomName(limit: Int) -> String? {
    guard utf8.count <= limit else { return nil }
    let name = composed
    guard name.utf8.count <= limit, name.utf8.first == UInt8(ascii: "/"), !name.utf8.contains(0) else { return nil }
    let segments = name.utf8.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    let isNormalized = segments.enumerated().allSatisfy { index, segment in
      // Only the last segment may be empty: in `/` and `/tea/`.
      if segment.isEmpty { return index == segments.count - 1 }
      return !segment.elementsEqual(".".utf8) && !segment.elementsEqual("..".utf8)
    }
    return isNormalized ? name : nil
  }
}

internal import CLibwebsockets

/// Files that come with the program, or with the library that this code is a part of.
package enum Installation {
  /// Returns the first existing folder among `paths`, which are relative to the folder of the program, or else of the
  /// library. Nil if none of them exists.
  package static func folder(_ paths: String...) -> String? {
    for file in [program, library] {
      guard let parent = file?.parts(separatedBy: "/").dropLast() else { continue }
      for path in paths {
        let folder = "\(parent.joined(separator: "/"))/\(path)"
        if isDirectory(folder) { return resolvedPath(folder) }
      }
    }
    return nil
  }

  private static var program: String? {
    var path = [CChar](repeating: 0, count: Int(PATH_MAX))
    var count = path.count
    guard unsafe uv_exepath(&path, &count) == 0 else { return nil }
    return resolvedPath(String(decoding: path[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self))
  }

  private static var library: String? {
    var image = unsafe shim_image()
    guard unsafe shim_dladdr(#dsohandle, &image) != 0, let file = unsafe image.file else { return nil }
    return resolvedPath(unsafe String(cString: file))
  }
}

/// Reads HTTP/1 requests from the bytes of a connection: their request header sections (RFC 9112, sections 2 to 5).
///
/// It looks at each byte once, and rejects a line as soon as one of its bytes is wrong. It accepts what h11 accepts,
/// except folded lines, which may be rejected (RFC 9112, section 5.2), and targets that are not paths.
/// `test_request_parser.py` compares the two.
package struct RequestParser {
  /// Maximum number of bytes of a request header section.
  private let limit: Int
  private var bytes: [UInt8] = []
  /// Offsets in ``bytes``: where the request begins, where its current line begins, and up to where bytes have been
  /// checked.
  private var (start, line, position) = (0, 0, 0)
  private var head: Head?

  private struct Head {
    let method: HttpRequest.Method
    let minorVersion: Int
    /// Relative to ``start``, like the ranges of names and values.
    let target: Range<Int>
    var fields: [(name: Range<Int>, value: Range<Int>)] = []
  }

  package init(limit: Int) { self.limit = limit }

  package mutating func append(_ more: Span<UInt8>) {
    if start > 0 {
      bytes.removeFirst(start)
      (line, position, start) = (line - start, position - start, 0)
    }
    bytes.append(more)
  }

  /// Whether bytes of a request have arrived.
  var hasBegun: Bool { bytes.count > start }

  /// Whether the request that has begun, or is rejected, is a HEAD.
  var isHead: Bool { head?.method == .head }

  /// The path of the request that has begun, or is rejected; nil if it is unknown.
  var path: String? { head.flatMap { try? target(of: $0).path } }

  /// Takes the bytes that follow the last request.
  package mutating func takeRest() -> [UInt8] {
    let rest = Array(bytes[start...])
    bytes = []
    (start, line, position) = (0, 0, 0)
    return rest
  }

  /// Returns the next request, once its header section is complete; nil until then.
  package mutating func next() throws(RequestError) -> HttpRequest? {
    while position < bytes.count {
      let byte = bytes[position]
      if byte == UInt8(ascii: "\n") {
        let content = bytes[
          line..<(position > line && bytes[position - 1] == UInt8(ascii: "\r") ? position - 1 : position)]
        position += 1
        line = position
        if let request = try read(content) { return request }
      } else {
        try check(byte)
        position += 1
      }
      guard position - start <= limit else {
        throw RequestError("more than \(limit) bytes of headers", .headersTooLarge)
      }
    }
    return nil
  }

  /// Throws unless the byte at ``position`` may be in its line.
  private func check(_ byte: UInt8) throws(RequestError) {
    if position > line, bytes[position - 1] == UInt8(ascii: "\r") { throw RequestError("a carriage return alone") }
    switch byte {
    case UInt8(ascii: "\r"): return
    case 0, 0x0B, 0x0C: throw RequestError("a control character")
    case ..<0x20 where head == nil, 0x7F... where head == nil: throw RequestError("not an HTTP request")
    case 0x20 where head == nil && position == line: throw RequestError("not an HTTP request")
    default: return
    }
  }

  /// Reads a line, without its end. Returns the request if the line ends it.
  private mutating func read(_ content: ArraySlice<UInt8>) throws(RequestError) -> HttpRequest? {
    if head == nil {
      // Empty lines before a request are skipped, RFC 9112, section 2.2.
      if !content.isEmpty { head = try readRequestLine(content) }
      return nil
    }
    if !content.isEmpty {
      try readField(content)
      return nil
    }
    defer {
      head = nil
      start = position
    }
    return try finish(head!)
  }

  private func readRequestLine(_ content: ArraySlice<UInt8>) throws(RequestError) -> Head {
    let words = content.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
    guard words.count == 3, !words[0].isEmpty, words[0].allSatisfy(\.isTokenByte), !words[1].isEmpty else {
      throw RequestError("not an HTTP request")
    }
    let version = Array(words[2])
    guard version.count == 8, version.starts(with: "HTTP/".utf8), 48...57 ~= version[5],
      version[6] == UInt8(ascii: "."), 48...57 ~= version[7]
    else { throw RequestError("not an HTTP request") }
    let method: HttpRequest.Method =
      if words[0].elementsEqual("GET".utf8) {
        .get
      } else if words[0].elementsEqual("HEAD".utf8) {
        .head
      } else if words[0].elementsEqual("OPTIONS".utf8) { .options } else { .other }
    guard version[5] == UInt8(ascii: "1") || method == .other else { throw RequestError("not HTTP/1.1") }
    let minorVersion = version[5] == UInt8(ascii: "1") ? min(1, Int(version[7] - 48)) : 0
    return Head(
      method: method, minorVersion: minorVersion, target: words[1].startIndex - start..<words[1].endIndex - start)
  }

  private mutating func readField(_ content: ArraySlice<UInt8>) throws(RequestError) {
    if content.first!.isBlank { throw RequestError("a folded header line") }
    guard let colon = content.firstIndex(of: UInt8(ascii: ":")) else {
      throw RequestError("a header line without a colon")
    }
    guard colon > content.startIndex, content[..<colon].allSatisfy(\.isTokenByte) else {
      throw RequestError("a header name that is not a token")
    }
    var value = content[(colon + 1)...].drop(while: \.isBlank)
    while value.last?.isBlank == true { value.removeLast() }
    head!.fields.append((content.startIndex - start..<colon - start, value.startIndex - start..<value.endIndex - start))
  }

  private func finish(_ head: Head) throws(RequestError) -> HttpRequest {
    var fields = HeaderFields(Array(bytes[start..<position]))
    for field in head.fields { fields.add(name: field.name, value: field.value) }
    // A request that is rejected anyway may have a target of another form, as CONNECT has.
    let target =
      head.method == .other
      ? (try? target(of: head)) ?? RequestTarget(authority: nil, path: "/", rawQuery: nil) : try target(of: head)
    let hosts = fields.values("host")
    guard hosts.count <= 1 else { throw RequestError("several Host headers") }
    guard head.minorVersion == 0 || !hosts.isEmpty else { throw RequestError("no Host header") }
    return HttpRequest(method: head.method, minorVersion: head.minorVersion, target: target, fields: fields)
  }

  private func target(of head: Head) throws(RequestError) -> RequestTarget {
    try RequestTarget(bytes[start + head.target.lowerBound..<start + head.target.upperBound])
  }
}

extension UInt8 {
  /// A space or a tab.
  fileprivate var isBlank: Bool { self == UInt8(ascii: " ") || self == UInt8(ascii: "\t") }

  /// Whether it may be in a token, RFC 9110, section 5.6.2.
  var isTokenByte: Bool {
    switch self {
    case 48...57, 65...90, 97...122: true
    case UInt8(ascii: "!"), 35...39, UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
      94...96,
      UInt8(ascii: "|"), UInt8(ascii: "~"):
      true
    default: false
    }
  }
}

/// Headers of responses with a file.
enum PageHeaders {
  /// The headers that lws calls best practices, with permission for the manifest of an installable page, which lws's
  /// own list forbids.
  static let all = [
    (
      "content-security-policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        + "connect-src 'self' ws: wss:; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    ("x-content-type-options", "nosniff"), ("x-frame-options", "deny"), ("referrer-policy", "no-referrer"),
  ]

  /// The Cache-Control value that lws makes of the settings of the mounts.
  static let cacheControl = "must-revalidate, private, max-age=1"

  /// The lines of a response with status 304, before the lines of the file.
  static let notModified =
    ["HTTP/1.1 304 Not Modified", "Cache-Control: \(cacheControl)"] + all.map { "\($0.0): \($0.1)" }
}

extension [String] {
  /// These header lines, and the empty line after them.
  var headBytes: [UInt8] { [UInt8]((joined(separator: "\r\n") + "\r\n\r\n").utf8) }
}

internal import CLibwebsockets

/// The headers of a response that lws is about to send, LWS_CALLBACK_ADD_HEADERS.
@safe struct AnswerHeaders {
  private let arguments: UnsafeMutablePointer<lws_process_html_args>

  init(_ data: UnsafeMutableRawPointer) { unsafe arguments = data.assumingMemoryBound(to: lws_process_html_args.self) }

  /// Replaces the last header lines, which must be `old`, by `new`. Returns false if they are other lines, or if there
  /// is too little space.
  func replace(_ old: String, by new: String) -> Bool {
    let (old, new) = (Array(old.utf8), Array(new.utf8))
    let start = unsafe arguments.pointee.p! - old.count
    // lws writes names of headers in any case: "sec-websocket-extensions" since 4.5.
    let isThere = unsafe strncasecmp(start, old.map { CChar(bitPattern: $0) }, old.count) == 0
    guard unsafe Int(arguments.pointee.max_len) > new.count, isThere else { return false }
    unsafe _ = memcpy(start, new, new.count)
    unsafe arguments.pointee.p = start + new.count
    unsafe arguments.pointee.max_len -= Int32(new.count - old.count)
    return true
  }

  /// Takes the whole response, to be sent later, so that lws sends nothing now. Returns nil if the response is not
  /// where lws makes it (lib/roles/ws/server-ws.c, handshake_0405).
  func hold() -> [UInt8]? {
    let end = unsafe arguments.pointee.p!
    let buffer = unsafe end + Int(arguments.pointee.max_len) - Context.serviceBufferSize
    let start = unsafe buffer + AnswerHeaders.offset
    let statusLine = Array("HTTP/1.1 101 ".utf8)
    guard unsafe start + statusLine.count < end, unsafe memcmp(start, statusLine, statusLine.count) == 0 else {
      return nil
    }
    let answer = unsafe Array(UnsafeRawBufferPointer(start: start, count: end - start)) + Array("\r\n".utf8)
    // lws adds an empty line. That makes the response empty, and lws treats it as sent (lib/core-net/output.c).
    unsafe arguments.pointee.p = unsafe start - 2
    return answer
  }

  /// Position in lws's buffer at which it makes the response: MAX_WEBSOCKET_04_KEY_LEN and so on.
  private static let offset = 128 + 256 + Int(shim_PRE)
}

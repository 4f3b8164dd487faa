/// The part of a response that the kernel has not taken.
struct HttpOutput {
  private var bytes: [UInt8] = []
  private var sent = 0

  var isEmpty: Bool { bytes.isEmpty }

  init(_ bytes: [UInt8] = []) { self.bytes = bytes }

  /// Sends the rest. Returns how many bytes the kernel has taken; nil if the connection is broken.
  mutating func flush(to socket: StreamSocket) -> Int? {
    guard let count = socket.send(bytes.span.extracting(sent..<bytes.count)) else { return nil }
    sent += count
    if sent == bytes.count { self = HttpOutput() }
    return count
  }

  /// Sends `part`, and keeps the bytes that the kernel does not take. All earlier bytes must have been sent.
  mutating func send(_ part: Span<UInt8>, to socket: StreamSocket) -> Int? {
    precondition(isEmpty)
    guard let count = socket.send(part) else { return nil }
    bytes.append(part.extracting(count..<part.count))
    return count
  }
}

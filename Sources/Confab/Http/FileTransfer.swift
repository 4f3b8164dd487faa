/// A response with a file, on its way from lws to a client. lws's mount writes it to one end of a pair of sockets, and
/// waits while the other end is not read.
final class FileTransfer {
  /// The response header section that lws has made, as lines.
  struct Head {
    var lines: [String] = []
    /// Length of the body; nil if it ends with the connection.
    var bodyLength: Int?

    /// Keeps the header lines that the client should get. Returns nil if the bytes are not an HTTP response.
    init?(_ bytes: some Sequence<UInt8>) {
      let all = String(decoding: Array(bytes), as: UTF8.self).parts(separatedBy: "\n").map(\.withoutReturn)
      guard let status = all.first, status.utf8.starts(with: "HTTP/1.".utf8) else { return nil }
      lines = [String(status)]
      for line in all.dropFirst() where !line.isEmpty {
        let name = line.parts(separatedBy: ":", maxSplits: 1)[0].lowercased()
        if name == "content-length" { bodyLength = Int(line.dropFirst(name.utf8.count + 1).trimmed) }
        if !["connection", "etag", "date", "last-modified"].contains(name) { lines.append(String(line)) }
      }
    }
  }

  /// Send buffer of lws's end of the pair.
  private static let bufferSize = 64 << 10
  private static let maxHead = 4096

  private let socket: StreamSocket
  private let validators: Validators
  let isHead: Bool
  private unowned let client: HttpConnection
  private unowned let loop: EventLoop
  private var poll: UvPoll?
  private var head: [UInt8]? = []
  /// Bytes of the body that are still to come; nil if it ends with the connection.
  private var left: Int?
  private var isOpen = true

  /// Nil if too few descriptors are left.
  init?(_ file: OpenFile, isHead: Bool, to client: HttpConnection, on loop: EventLoop) {
    guard loop.admission.takeDescriptors() else { return nil }
    guard let (socket, endOfLws) = StreamSocket.makePair() else {
      loop.admission.returnDescriptors()
      return nil
    }
    endOfLws.setSendBuffer(FileTransfer.bufferSize)
    self.socket = socket
    (validators, self.isHead, self.client, self.loop) = (file.validators, isHead, client, loop)
    loop.handOver(endOfLws, file, isHead: isHead)
    poll = UvPoll(socket, on: loop.uv) { [unowned self] in read() }
    poll!.wait(for: .input)
  }

  /// Continues reading, because the client can take more.
  func goOn() { if isOpen { poll!.wait(for: .input) } }

  private func read() {
    let scratch = loop.scratch
    switch socket.receive(into: scratch) {
    case .bytes(let count):
      let part = scratch.prefix(count)
      if head != nil { readHead(part) } else { readBody(part) }
    case .nothingYet: break
    case .ended:
      end()
      head != nil ? client.fileFailed() : client.fileWasRead(isWhole: left == nil)
    }
  }

  private func readHead(_ part: Span<UInt8>) {
    let start = head!.count
    head!.append(part)
    guard let end = head!.endOfHead(from: max(0, start - 3)) else {
      if head!.count > FileTransfer.maxHead { client.fileFailed() }
      return
    }
    guard let made = Head(head![..<end]) else { return client.fileFailed() }
    left = isHead ? 0 : made.bodyLength
    head = nil
    goOnOrStop(client.send(made, validators, count(part.extracting(droppingFirst: end - start))))
  }

  private func readBody(_ part: Span<UInt8>) { goOnOrStop(client.sendBody(count(part))) }

  /// Returns the bytes that belong to the body, and counts them.
  @_lifetime(copy part)
  private func count(_ part: Span<UInt8>) -> Span<UInt8> {
    guard let left else { return part }
    let body = part.extracting(first: left)
    self.left = left - body.count
    return body
  }

  private func goOnOrStop(_ isTaken: Bool) {
    // The client may have gone.
    guard isOpen else { return }
    if left == 0 {
      end()
      client.fileWasRead(isWhole: true)
    } else if !isTaken {
      poll!.wait(for: .nothing)
    }
  }

  func end() {
    guard isOpen else { return }
    isOpen = false
    poll?.close()
    socket.close()
    loop.admission.returnDescriptors()
  }
}

extension [UInt8] {
  /// Returns the index after the empty line; nil if it has not arrived.
  fileprivate func endOfHead(from start: Int) -> Int? {
    let mark = Array("\r\n\r\n".utf8)
    guard count >= mark.count else { return nil }
    return (start...count - mark.count).first { self[$0..<$0 + mark.count].elementsEqual(mark) }.map { $0 + mark.count }
  }
}

extension Substring {
  fileprivate var withoutReturn: Substring { utf8.last == UInt8(ascii: "\r") ? Substring(utf8.dropLast()) : self }
}

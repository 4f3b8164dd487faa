internal import CLibwebsockets
internal import Glibc

/// A response with a file, on its way from lws to a client. lws's mount writes it to one end of a pair of sockets, and
/// waits while the other end is not read.
@safe final class FileTransfer {
  /// The response header section that lws has made, as lines.
  struct Head {
    var lines: [String] = []
    /// Length of the body; nil if it ends with the connection.
    var bodyLength: Int?

    /// Keeps the header lines that are right for the client. Nil if the bytes are not an HTTP response.
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
  private static let bufferSize = Int32(64 << 10)
  private static let maxHead = 4096

  private let descriptor: Int32
  private let validators: Validators
  private let isHead: Bool
  private unowned let client: HttpConnection
  private unowned let loop: EventLoop
  private var poll: UvPoll?
  private var head: [UInt8]? = []
  /// Bytes of the body that are still to come; nil if it ends with the connection.
  private var left: Int?
  private var isOpen = true

  /// Nil if too few descriptors are left.
  init?(_ file: OpenFile, isHead: Bool, to client: HttpConnection, on loop: EventLoop) {
    var pair: [Int32] = [-1, -1]
    let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    guard loop.admission.takeDescriptors() else { return nil }
    guard unsafe socketpair(AF_UNIX, type, 0, &pair) == 0 else {
      loop.admission.returnDescriptors()
      return nil
    }
    setOption(pair[1], SOL_SOCKET, SO_SNDBUF, FileTransfer.bufferSize)
    descriptor = pair[0]
    (validators, self.isHead, self.client, self.loop) = (file.validators, isHead, client, loop)
    loop.handOver(pair[1], file, isHead: isHead)
    poll = unsafe UvPoll(descriptor, on: loop.uv.loop) { [unowned self] in read() }
    poll!.wait(for: .input)
  }

  /// Reads on: the client takes more.
  func goOn() { if isOpen { poll!.wait(for: .input) } }

  private func read() {
    let bytes = unsafe loop.scratch.bytes
    let count = unsafe recv(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT))
    if count < 0 && (errno == EAGAIN || errno == EINTR) { return }
    guard count > 0 else {
      end()
      return head != nil ? client.fileFailed() : client.fileWasRead(isWhole: left == nil)
    }
    let part = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<count])
    if head != nil { unsafe readHead(part) } else { unsafe readBody(part) }
  }

  private func readHead(_ part: UnsafeRawBufferPointer) {
    let start = head!.count
    unsafe head! += part
    guard let end = head!.endOfHead(from: max(0, start - 3)) else {
      if head!.count > FileTransfer.maxHead { client.fileFailed() }
      return
    }
    guard let made = Head(head![..<end]) else { return client.fileFailed() }
    left = isHead ? 0 : made.bodyLength
    head = nil
    let body = unsafe UnsafeRawBufferPointer(rebasing: part[(end - start)...])
    let isTaken = unsafe client.send(made, validators, count(body))
    goOnOrStop(isTaken)
  }

  private func readBody(_ part: UnsafeRawBufferPointer) {
    let isTaken = unsafe client.sendBody(count(part))
    goOnOrStop(isTaken)
  }

  /// Returns the bytes that belong to the body, and counts them.
  private func count(_ part: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    guard let left else { return unsafe part }
    let body = unsafe UnsafeRawBufferPointer(rebasing: part.prefix(left))
    self.left = left - body.count
    return unsafe body
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
    close(descriptor)
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

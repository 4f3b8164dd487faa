// Without TLS, the server itself reads the HTTP requests that a connection begins with. lws gets the socket with the
// first request for a WebSocket. Pages are answered here: lws's mount sends their files through a pair of sockets
// (FileTransfer.swift). So each request passes the parser and the gate, whatever came before it.

/// A TCP connection that is read for requests, or is being answered. Nothing is read while it is answered. Loop thread
/// only.
final class HttpConnection: @unchecked Sendable {
  // @unchecked: used on the loop's thread only.

  private enum Phase {
    case reading
    /// Sends ``output``, and then closes, or reads on.
    case answering
    case transferring(FileTransfer)
    /// Has answered, and discards what the client still sends: closing at once could destroy the response.
    case lingering
  }

  /// When the current phase has taken too long, in the loop's milliseconds.
  private(set) var deadline: UInt64
  private let socket: StreamSocket
  private let peer: SocketAddress
  private var proxied: Proxied?
  private var ticket: Admission.Ticket
  private unowned let loop: EventLoop
  private var poll: UvPoll?
  private var phase = Phase.reading
  private var parser: RequestParser
  private var isFirst = true
  private var isReading = false
  private var keepsAlive = false
  /// The part of the response that the kernel has not taken, from ``sent`` on.
  private var output: [UInt8] = []
  private var sent = 0
  private var lingerEnd: UInt64 = 0

  /// Idle timeout of a kept-alive connection without a request, in milliseconds.
  private static let idleTimeout: UInt64 = 5_000
  /// Time without progress after which a client is dropped, in milliseconds: for a file, and for a response in memory.
  private static let fileTimeout: UInt64 = 120_000
  private static let answerTimeout: UInt64 = 5_000
  /// Limits of lingering, in milliseconds: in all, and without data from the client.
  private static let (lingerTimeout, lingerSilence) = (UInt64(30_000), UInt64(5_000))
  /// Maximum number of requests of one client that are served before other clients have their turn.
  private static let requestsAtOnce = 8

  init(
    _ socket: StreamSocket, _ peer: SocketAddress, _ proxied: Proxied?, _ ticket: Admission.Ticket, deadline: UInt64,
    on loop: EventLoop
  ) {
    (self.socket, self.peer, self.proxied, self.ticket) = (socket, peer, proxied, ticket)
    (self.deadline, self.loop) = (deadline, loop)
    parser = RequestParser(limit: loop.configuration.maxHeaderSize)
  }

  private var client: SocketAddress { proxied?.client ?? peer }

  // MARK: Reading

  /// Serves the requests that have arrived, and waits for more.
  func read() {
    isReading = true
    defer { isReading = false }
    var hasReceived = false
    for _ in 0..<HttpConnection.requestsAtOnce {
      do throws(RequestError) {
        if let request = try parser.next() {
          serve(request)
          guard case .reading = phase else { return }
          continue
        }
      } catch {
        let rejection = Rejection(error.reason, error.detail)
        return finish(loop.reject(rejection, client, path: parser.path), isHead: parser.isHead)
      }
      if hasReceived { return wait(for: .input) }
      guard receive() else { return }
      hasReceived = true
    }
    // Other connections have their turn.
    wait(for: .nothing)
    loop.execute { [weak self] in self?.readOn() }
  }

  private func readOn() {
    if case .reading = phase { read() }
  }

  /// Returns whether something has been received.
  private func receive() -> Bool {
    let scratch = loop.scratch
    switch socket.receive(into: scratch, limit: HttpConnection.readSize) {
    case .bytes(let count):
      if !parser.hasBegun && !isFirst { deadline = loop.now + loop.configuration.handshakeTimeout.milliseconds }
      parser.append(scratch.prefix(count))
      return true
    case .nothingYet: wait(for: .input)
    case .ended:
      if isFirst || parser.hasBegun {
        loop.admission.rejections.note(.notUnderstood, client.endpoint, "has gone without a whole request")
      }
      end()
    }
    return false
  }

  /// Maximum number of bytes of one read. Bytes that follow an upgrade are kept until lws takes them.
  private static let readSize = 16 << 10

  private func wait(for interest: UvPoll.Interest) {
    if poll == nil && interest == .nothing { return }
    if poll == nil { poll = UvPoll(socket, on: loop.uv) { [unowned self] in isReady() } }
    poll!.wait(for: interest)
  }

  private func isReady() {
    switch phase {
    case .reading: read()
    case .answering: flush()
    case .transferring(let transfer):
      guard flushPart() else { return }
      wait(for: .nothing)
      transfer.goOn()
    case .lingering: discard()
    }
  }

  // MARK: Serving

  private func serve(_ request: HttpRequest) {
    isFirst = false
    keepsAlive = request.keepsAlive && !loop.isStopping && !loop.stopping.isDraining
    let isHead = request.method == .head
    do throws(Rejection) {
      if proxied != nil { try loop.identify(&proxied!, &ticket, forwardedFor: request.fields["x-forwarded-for"]) }
    } catch {
      return finish(loop.reject(error, client, path: request.target.path), isHead: isHead)
    }
    let source = RequestSource(head: RequestHead(request, subprotocol: nil, address: client), lws: nil)
    let check = RequestCheck(loop: loop, source: source, client: client)
    switch check.decide() {
    case .answer(let response): finish(response, isHead: isHead)
    case .upgrade(let authorization): upgrade(source, authorization)
    case .serve:
      switch loop.configuration.mounts.find(request.target.path) {
      case .nothing: finish(check.notFound(), isHead: isHead)
      case .folder: finish(check.redirectToFolder(), isHead: isHead)
      case .file(let file): serve(file, request)
      }
    }
  }

  private func serve(_ file: OpenFile, _ request: HttpRequest) {
    let isHead = request.method == .head
    switch file.validators.evaluate(request.fields) {
    case .failed: return finish(Response.preconditionFailed, isHead: isHead)
    case .notModified:
      return answer((PageHeaders.notModified + lines(file.validators)).headBytes)
    case .passed: break
    }
    guard let transfer = FileTransfer(file, isHead: isHead, to: self, on: loop) else {
      let rejection = Rejection(
        .tooManyConnections, "no descriptor is left for a file", headers: Rejection.retryLater)
      return finish(loop.reject(rejection, client, path: request.target.path), isHead: isHead)
    }
    wait(for: .nothing)
    phase = .transferring(transfer)
    deadline = loop.now + HttpConnection.fileTimeout
  }

  /// Header lines of each response with a file.
  private func lines(_ validators: Validators) -> [String] {
    validators.lines + ["Connection: \(keepsAlive ? "keep-alive" : "close")"]
  }

  private func upgrade(_ source: RequestSource, _ authorization: Authorization) {
    if case .ask = authorization, parser.hasBegun {
      let response = Response(status: 400, "data before the response\n")
      let rejection = Rejection(.badRequest, "data before the handshake was answered", response: response)
      return finish(loop.reject(rejection, client, path: source.head.path), isHead: false)
    }
    poll?.close()
    loop.httpConnections.remove(self)
    phase = .answering
    loop.handOver(socket, ticket, proxied, source, authorization, rest: parser.takeRest())
  }

  // MARK: Answering

  /// Sends the last response of the connection.
  private func finish(_ response: Response, isHead: Bool) {
    keepsAlive = false
    answer(response.bytes(isHead: isHead))
  }

  private func answer(_ bytes: [UInt8]) {
    phase = .answering
    (output, sent) = (bytes, 0)
    deadline = loop.now + HttpConnection.answerTimeout
    flush()
  }

  private func flush() {
    if flushPart() { answered() }
  }

  /// Returns whether everything in ``output`` has been sent.
  private func flushPart() -> Bool {
    guard sent < output.count else { return true }
    guard let count = send(output.span.extracting(sent..<output.count)) else { return false }
    sent += count
    guard sent == output.count else {
      wait(for: .output)
      return false
    }
    (output, sent) = ([], 0)
    return true
  }

  /// Returns how many bytes the kernel has taken; nil if the client has gone, and this connection has ended.
  private func send(_ bytes: Span<UInt8>) -> Int? {
    guard let count = socket.send(bytes) else {
      end()
      return nil
    }
    if count > 0 {
      let time = if case .transferring = phase { HttpConnection.fileTimeout } else { HttpConnection.answerTimeout }
      deadline = loop.now + time
    }
    return count
  }

  private func answered() {
    if keepsAlive { return awaitRequest() }
    if loop.isStopping { return end() }
    phase = .lingering
    socket.endWriting()
    lingerEnd = loop.now + HttpConnection.lingerTimeout
    deadline = loop.now + HttpConnection.lingerSilence
    wait(for: .input)
  }

  private func awaitRequest() {
    phase = .reading
    guard parser.hasBegun else {
      deadline = loop.now + HttpConnection.idleTimeout
      return wait(for: .input)
    }
    deadline = loop.now + loop.configuration.handshakeTimeout.milliseconds
    // read() continues by itself, and limits the requests of a turn.
    if isReading { return }
    // In another turn, because a client may have sent any number of requests.
    wait(for: .nothing)
    loop.execute { [weak self] in self?.readOn() }
  }

  private func discard() {
    switch socket.receive(into: loop.scratch) {
    case .bytes: deadline = min(lingerEnd, loop.now + HttpConnection.lingerSilence)
    case .nothingYet: break
    case .ended: end()
    }
  }

  // MARK: Ending

  /// Called when ``deadline`` has passed.
  func timedOut() {
    guard case .reading = phase, isFirst || parser.hasBegun else { return end() }
    finish(loop.reject(loop.lateRejection, client, path: parser.path), isHead: parser.isHead)
  }

  /// Called when the server stops. Responses that have begun are still sent.
  func stop() {
    keepsAlive = false
    switch phase {
    case .reading, .lingering: end()
    case .answering, .transferring:
      // Lets the kernel take as much as it allows for a socket: it delivers that even after the process has ended.
      socket.setSendBuffer(4 << 20)
    }
  }

  func end() {
    guard loop.httpConnections.remove(self) else { return }
    if case .transferring(let transfer) = phase { transfer.end() }
    phase = .lingering
    poll?.close()
    socket.close()
    loop.admission.leave(ticket)
  }
}

// MARK: Files

extension HttpConnection {
  /// Sends the response header section that lws has made for a file, and the part of the body that came with it.
  /// Returns false if no more is wanted now, or ever.
  func send(_ head: FileTransfer.Head, _ validators: Validators, _ body: Span<UInt8>) -> Bool {
    if head.bodyLength == nil { keepsAlive = false }
    output = (head.lines + lines(validators)).headBytes
    output.append(body)
    sent = 0
    return flushPart()
  }

  /// Sends a part of the body. Returns false if no more is wanted now, or ever.
  func sendBody(_ body: Span<UInt8>) -> Bool {
    guard let count = send(body) else { return false }
    if count == body.count { return true }
    (output, sent) = ([], 0)
    output.append(body.extracting(count..<body.count))
    wait(for: .output)
    return false
  }

  /// Called when lws has sent the file. The part of it that is left here is still sent.
  func fileWasRead(isWhole: Bool) {
    guard case .transferring = phase else { return }
    guard isWhole else { return end() }
    phase = .answering
    flush()
  }

  /// Called when lws has sent no response.
  func fileFailed() {
    guard case .transferring(let transfer) = phase else { return }
    transfer.end()
    let rejection = Rejection(.notFound, "the file could not be read")
    finish(loop.reject(rejection, client, path: nil), isHead: transfer.isHead)
  }
}

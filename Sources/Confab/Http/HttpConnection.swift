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
    /// The response is sent. Further data from the client is discarded: closing at once could destroy the response.
    case lingering
  }

  /// Deadline of the current phase.
  private(set) var deadline: HttpDeadline
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
  private var output = HttpOutput()

  /// Maximum number of requests of one client that are served before other clients have their turn.
  private static let requestsAtOnce = 8
  /// Maximum number of bytes of one read. Bytes that follow an upgrade are kept until lws takes them.
  private static let readSize = 16 << 10

  init(
    _ socket: StreamSocket, _ peer: SocketAddress, _ proxied: Proxied?, _ ticket: Admission.Ticket, deadline: UInt64,
    on loop: EventLoop
  ) {
    (self.socket, self.peer, self.proxied, self.ticket) = (socket, peer, proxied, ticket)
    (self.deadline, self.loop) = (HttpDeadline(deadline), loop)
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

  /// Receives bytes. Returns whether any have arrived.
  private func receive() -> Bool {
    let scratch = loop.scratch
    switch socket.receive(into: scratch, limit: HttpConnection.readSize) {
    case .bytes(let count):
      if !parser.hasBegun && !isFirst { extendDeadline(by: loop.configuration.handshakeTimeout.milliseconds) }
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
      switch check.findFile() {
      case .answer(let response): finish(response, isHead: isHead)
      case .notModified(let file): answer((PageHeaders.notModified + lines(file.validators)).headBytes)
      case .send(let file): transfer(file, request)
      }
    }
  }

  private func transfer(_ file: OpenFile, _ request: HttpRequest) {
    let isHead = request.method == .head
    guard let transfer = FileTransfer(file, isHead: isHead, to: self, on: loop) else {
      let rejection = Rejection(.tooManyConnections, "no descriptor is left for a file", headers: Rejection.retryLater)
      return finish(loop.reject(rejection, client, path: request.target.path), isHead: isHead)
    }
    wait(for: .nothing)
    phase = .transferring(transfer)
    extendDeadline(by: HttpDeadline.file)
  }

  /// Returns the header lines of each response with a file.
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
    output = HttpOutput(bytes)
    extendDeadline(by: HttpDeadline.answer)
    flush()
  }

  private func flush() {
    if flushPart() { answered() }
  }

  /// Returns whether everything in ``output`` has been sent.
  private func flushPart() -> Bool { output.isEmpty || isSent(output.flush(to: socket)) }

  /// Returns whether all output has been sent, when the kernel has taken `count` bytes. If `count` is nil, the client
  /// has gone, and the connection ends.
  private func isSent(_ count: Int?) -> Bool {
    guard let count else {
      end()
      return false
    }
    let timeout = if case .transferring = phase { HttpDeadline.file } else { HttpDeadline.answer }
    if count > 0 { extendDeadline(by: timeout) }
    if !output.isEmpty { wait(for: .output) }
    return output.isEmpty
  }

  private func answered() {
    if keepsAlive { return awaitRequest() }
    if loop.isStopping { return end() }
    phase = .lingering
    socket.endWriting()
    deadline.beginLingering(loop.now)
    wait(for: .input)
  }

  private func awaitRequest() {
    phase = .reading
    guard parser.hasBegun else {
      extendDeadline(by: HttpDeadline.idle)
      return wait(for: .input)
    }
    extendDeadline(by: loop.configuration.handshakeTimeout.milliseconds)
    // read() continues by itself, and limits the requests of a turn.
    if isReading { return }
    // The next request is served in another turn, because a client may have sent any number of requests.
    wait(for: .nothing)
    loop.execute { [weak self] in self?.readOn() }
  }

  private func discard() {
    switch socket.receive(into: loop.scratch) {
    case .bytes: deadline.goOnLingering(loop.now)
    case .nothingYet: break
    case .ended: end()
    }
  }

  // MARK: Ending

  private func extendDeadline(by timeout: UInt64) { deadline.extend(by: timeout, loop.now) }

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
  /// Returns false if the caller must stop sending, for now or finally.
  func send(_ head: FileTransfer.Head, _ validators: Validators, _ body: Span<UInt8>) -> Bool {
    if head.bodyLength == nil { keepsAlive = false }
    var bytes = (head.lines + lines(validators)).headBytes
    bytes.append(body)
    output = HttpOutput(bytes)
    return flushPart()
  }

  /// Sends a part of the body. Returns false if the caller must stop sending, for now or finally.
  func sendBody(_ body: Span<UInt8>) -> Bool {
    isSent(output.send(body, to: socket))
  }

  /// Called when lws has sent the file. The rest of the output is still sent.
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

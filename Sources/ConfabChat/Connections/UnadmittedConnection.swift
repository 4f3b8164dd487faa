internal import Confab

/// A connection that is not admitted yet. A client of the rich protocol is admitted when its hello arrives, which may
/// have a token. Loop thread only.
final class UnadmittedConnection {
  private let chat: Chat
  private let admission: Admission
  private let client: UnadmittedClient
  private let isRich: Bool
  /// The hello, and messages that were read together with it. Reading is paused until the client is admitted.
  private var messages: [OwnedMessage] = []
  private var pendingBytes = 0
  /// The head of the hello.
  private var head = ClientEvent.Head()
  private var isDecided = false
  private var isEnded = false
  private var task: Task<Void, Never>?

  init(_ chat: Chat, _ admission: Admission, _ client: UnadmittedClient, isRich: Bool) {
    (self.chat, self.admission, self.client, self.isRich) = (chat, admission, client, isRich)
  }

  func begin(_ connection: Connection) {
    connection.loop.execute(after: connection.loop.handshakeTimeout) { [weak connection] in
      guard let connection else { return }
      (connection.handlerState as? UnadmittedConnection)?.timedOut(connection)
    }
    if !isRich { decide(client.token, connection) }
  }

  func closed() { task?.cancel() }

  private func timedOut(_ connection: Connection) {
    guard !isEnded else { return }
    task?.cancel()
    reject(isDecided || task != nil ? AdmissionError(.unavailable) : AdmissionError(.tokenRequired), connection)
  }

  func received(_ message: Message, from connection: Connection) {
    guard !isEnded else { return }
    // Also limits the memory for compressed messages: a few KiB may inflate to much more.
    pendingBytes += message.bytes.count
    guard pendingBytes <= ClientEvent.maxBytes(textLimit: chat.options.maxTextLength) else {
      return end(ErrorEvent(.textTooLong, "too many bytes before the welcome"), .policyViolation, connection)
    }
    messages.append(OwnedMessage(message))
    guard isRich, messages.count == 1 else { return }
    guard message.kind == .text, let event = ClientEvent([UInt8](message), &head)
    else { return end(ErrorEvent(.malformed, "malformed event"), .policyViolation, connection) }
    guard case .hello(let hello) = event else {
      return end(ErrorEvent(.notIntroduced, "hello required", tag: event.tag), .policyViolation, connection)
    }
    decide(hello.token ?? client.token, connection)
  }

  private func decide(_ token: String?, _ connection: Connection) {
    let decision = admission.decision(client.request, token, on: connection.loop)
    guard case .ask = decision else { return decided(decision, connection) }
    connection.pauseReading()
    task = Task { [weak connection, loop = connection.loop] in
      let decision = await decision.made()
      loop.execute { [weak connection] in
        guard let connection, let state = connection.handlerState as? UnadmittedConnection else { return }
        connection.resumeReading()
        state.decided(decision, connection)
      }
    }
  }

  private func decided(_ decision: Admission.Decision, _ connection: Connection) {
    guard !isEnded else { return }
    isDecided = true
    do throws(AdmissionError) {
      enter(try chat.client(decision, client.request, admission), connection)
    } catch {
      reject(error, connection)
    }
  }

  /// Enters the room, when it is open, and handles the messages.
  private func enter(_ admitted: AdmittedClient, _ connection: Connection) {
    let (room, loop) = (client.request.path.composed, connection.loop)
    guard chat.rooms.hasCapacity(for: room) else {
      return reject(AdmissionError(.unavailable, "too many rooms"), connection)
    }
    let pending = PendingConnection(
      chat.rooms.reference(to: room, on: loop), admitted, from: client.request.remoteAddress, on: loop)
    if pending.isOpen { return add(pending, connection) }
    connection.pauseReading()
    task = Task { [weak connection, timeout = loop.handshakeTimeout * 9 / 10] in
      await pending.waitUntilOpen(within: timeout)
      loop.execute { [weak connection] in
        guard let connection, let state = connection.handlerState as? UnadmittedConnection else { return }
        connection.resumeReading()
        state.waited(pending, connection)
      }
    }
  }

  private func waited(_ pending: PendingConnection, _ connection: Connection) {
    guard !isEnded else { return }
    if pending.isOpen { return add(pending, connection) }
    reject(AdmissionError(.unavailable, chat.notOpenReason), connection)
  }

  private func add(_ pending: PendingConnection, _ connection: Connection) {
    chat.add(connection, pending, isRich)
    guard let state = connection.handlerState as? ChatConnection else { return }
    for message in messages where connection.readyState == .open { state.received(message.message, from: connection) }
  }

  private func reject(_ error: AdmissionError, _ connection: Connection) {
    end(ErrorEvent(error.eventCode, error.message), error.closeCode, connection)
  }

  private func end(_ error: ErrorEvent, _ code: CloseCode, _ connection: Connection) {
    (isEnded, messages) = (true, [])
    if isRich {
      var error = error
      error.ref = head.ref
      chat.errors.note(error.code)
      connection.send(error)
    }
    connection.close(code, reason: error.message)
  }
}

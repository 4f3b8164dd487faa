import ConfabChat

@testable import ConfabNats

/// A server's connection to the broker, as libnats maintains it. Messages of one subject keep their order, and messages
/// in flight are lost when the connection breaks.
final class SimulatedLink {
  enum State { case connected, disconnected }

  let world: World
  unowned let server: SimulatedServer
  private(set) var state = State.disconnected
  /// Number that distinguishes messages in flight from those before the last disconnection.
  private var generation = 0
  private var subscriptions: Set<String> = []
  /// Arrival time of the last message by subject; one entry for all messages to the broker.
  private var arrivals: [String: Duration] = [:]
  /// Whether the server has noticed the disconnection. Messages that it publishes afterwards are sent on the next
  /// connection.
  private var isNoticed = true
  private var buffer: [NatsMessage] = []
  /// Whether the connection's broker has lost contact to the majority.
  var isOfMinority = false
  /// Whether the server has stopped.
  var isOver = false

  init(_ world: World, _ server: SimulatedServer) { (self.world, self.server) = (world, server) }

  func subscribes(to subject: String) -> Bool {
    state == .connected
      && (subscriptions.contains(subject) || subject.hasPrefix(server.state.inbox + "."))
  }

  var subscriptionCount: Int { subscriptions.count }

  // MARK: The server's side

  func subscribe(_ subject: String) { subscriptions.insert(subject) }

  func unsubscribe(_ subject: String) { subscriptions.remove(subject) }

  func publish(_ publication: Effects.OutgoingMessage) {
    let headers = Dictionary(publication.headers) { $1 }
    let message = NatsMessage(
      subject: publication.subject, reply: publication.reply ?? "", headers: headers, bytes: publication.bytes)
    if state == .connected { send(message) } else if isNoticed && !isOver { buffer.append(message) }
  }

  private func send(_ message: NatsMessage) {
    if world.isUnlucky { return }
    travel("", longest: 0.02) { [world] in world.broker.received(message, from: self) }
  }

  // MARK: The broker's side

  /// Delivers a message to the server, if it has subscribed to the subject.
  func deliver(_ message: NatsMessage, by subject: String) {
    guard subscribes(to: subject), !world.isUnlucky else { return }
    travel(subject, longest: world.isTroubled && world.chance.hits(0.05) ? 3 : 0.03) { [server] in
      server.take(.event(.message(message)))
    }
  }

  private func travel(_ subject: String, longest: Double, _ arrive: @escaping () -> Void) {
    let now = world.timeline.now
    let arrival = max(arrivals[subject] ?? .zero, now + world.chance.time(0...longest))
    arrivals[subject] = arrival
    world.timeline.schedule(after: arrival - now) { [generation] in
      if generation == self.generation { arrive() }
    }
  }

  // MARK: Disconnecting and reconnecting

  /// Breaks the connection. The server notices at once or after a while.
  func cut() {
    guard state == .connected else { return }
    world.trace("\(server.name) is cut off")
    (state, isNoticed) = (.disconnected, false)
    generation += 1
    arrivals = [:]
    world.timeline.schedule(after: world.chance.time(world.chance.hits(0.7) ? 0...0.1 : 0...8)) { [self] in
      guard !isOver else { return }
      isNoticed = true
      server.take(.event(.disconnected))
      if world.chance.hits(0.1) {
        // libnats gives up. The server must create another connection, without the subscriptions.
        server.take(.event(.closed))
        (subscriptions, buffer) = ([], [])
      }
      comeBack(after: 0.1...1)
    }
  }

  func comeBack(after pause: ClosedRange<Double>) {
    world.timeline.schedule(after: world.chance.time(pause)) { [self] in
      if isOver { return }
      guard world.broker.isUp, !world.isCut(server) else { return comeBack(after: 0.2...0.8) }
      world.trace("\(server.name) is connected")
      state = .connected
      server.moderator?.connected()
      server.take(.event(.connected(maxPayload: world.broker.maxPayload)))
      for message in buffer { send(message) }
      buffer = []
    }
  }

  /// Handles that the server has been killed.
  func end() {
    (isOver, state) = (true, .disconnected)
    generation += 1
  }
}

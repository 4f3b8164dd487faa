public import ConfabChat
internal import Dispatch
internal import Logging
internal import Synchronization

/// Stores messages in a NATS JetStream stream and uses its order. All servers with the same stream are one chat.
///
/// A message gets its offset when the stream stores it, and is delivered when the stream sends it back. While the
/// broker is unreachable, messages are pending; the engine sends them when the broker is back. Each message is in the
/// stream once, and messages of one connection keep their order, even if some are sent again. The article Cluster of
/// ConfabChat lists the failures that lose messages.
///
/// ```swift
/// let engine = try JetStreamEngine(JetStreamOptions(urls: ["nats://localhost:4222"]))
/// let server = try Chat(engine: engine).makeServer(Configuration(mounts: [.chatPage]))
/// ```
///
/// Any thread.
public final class JetStreamEngine: Engine {
  public let isShared = true

  private let options: JetStreamOptions
  private let inputs = Mutex(Inputs())
  private let rooms = Atomic(0)
  private let isReachable = Atomic(false)
  /// Queue for slow or blocking work and for calls to rooms.
  private let queue = DispatchQueue(label: "confab.nats")
  /// Queue for connecting, which may take seconds.
  private let connecting = DispatchQueue(label: "confab.nats.connect")
  private let state: Mutex<JetStreamState>
  private let link = Mutex<Link?>(nil)

  private struct Link {
    let connection: NatsConnection
    var subscriptions: [String: NatsConnection.Subscription] = [:]
  }

  private struct Inputs {
    var pending: [Input] = []
    var isAwake = false
    /// Whether the queue has taken inputs that it may not have handled yet.
    var areTaken = false
    var isOver = false
  }

  /// Interval of the checks for timeouts.
  private static let tickInterval = DispatchTimeInterval.milliseconds(250)
  /// Delay before the engine checks again whether other servers have reported the members of rooms.
  private static let openDelay = DispatchTimeInterval.milliseconds(20)
  /// Delay before the next connection attempt, after a failure or after libnats has given up.
  private static let reconnectDelay = DispatchTimeInterval.seconds(1)
  /// Maximum time that a shutdown waits for pending messages.
  private static let shutdownTimeout = Duration.seconds(3)

  /// Starts to connect in the background, and retries until it succeeds, because the brokers may be unreachable.
  ///
  /// - Throws: if the options are invalid, or one of their files cannot be read.
  public init(_ options: JetStreamOptions) throws(JetStreamError) {
    try options.validate()
    self.options = options
    state = Mutex(JetStreamState(options))
    connecting.async { [weak self] in self?.connect() }
    queue.async { [weak self] in self?.tick() }
  }

  public var isAvailable: Bool { isReachable.load(ordering: .relaxed) }

  public func open(_ room: String, _ delegate: any RoomDelegate) -> any EngineRoom {
    let engineRoom = JetStreamRoom(self, rooms.add(1, ordering: .relaxed).newValue)
    take(.open(engineRoom.number, room, delegate))
    return engineRoom
  }

  public func openRestrictions(_ delegate: any RestrictionDelegate) { take(.openRestrictions(delegate)) }

  public func store(_ change: RestrictionChange, _ done: @escaping @Sendable (_ isStored: Bool) -> Void) {
    if !take(.restrict(change, done)) { done(false) }
  }

  public func shutdown() async {
    // Informs the other servers that this server has no members any more.
    take(.closeAll)
    let end = ContinuousClock.now + JetStreamEngine.shutdownTimeout
    while ContinuousClock.now < end, !isIdle { try? await Task.sleep(for: .milliseconds(20)) }
    inputs.withLock { $0.isOver = true }
    let count = state.withLock { $0.publishQueue.messages.count }
    if count > 0 { options.logger.warning("\(count) messages were not stored") }
    // OpenSSL must not be in use when the process exits, and a connection attempt may last some more seconds.
    await withCheckedContinuation { done in connecting.async { done.resume() } }
    await withCheckedContinuation { done in
      queue.async {
        self.endRestrictions()
        self.link.withLock { $0 = nil }
        done.resume()
      }
    }
  }

  /// Gives up the changes of restrictions that are pending.
  private func endRestrictions() {
    let left = inputs.withLock { exchange(&$0.pending, with: []) }
    for case .restrict(_, let done) in left { done(false) }
    perform { $0.endRestrictions(&$1) }
  }

  private var isIdle: Bool {
    inputs.withLock { $0.pending.isEmpty && !$0.areTaken }
      && state.withLock { $0.publishQueue.isEmpty && $0.exchange.pending.isEmpty }
  }

  /// Adds an input, which is handled soon. Returns false after the shutdown.
  @discardableResult func take(_ input: Input) -> Bool {
    let (isOver, isAsleep) = inputs.withLock { inputs in
      if inputs.isOver { return (true, false) }
      inputs.pending.append(input)
      defer { inputs.isAwake = true }
      return (false, !inputs.isAwake)
    }
    if isAsleep { queue.async { self.run() } }
    return !isOver
  }

  // MARK: On the connecting queue

  private func connect() {
    guard !inputs.withLock(\.isOver) else { return }
    do throws(NatsError) {
      let connection = try NatsConnection(options) { [weak self] in self?.take(.event($0)) }
      let inbox = state.withLock(\.inbox) + ".>"
      let subscriptions = [inbox: try connection.subscribe(inbox)]
      link.withLock { $0 = Link(connection: connection, subscriptions: subscriptions) }
      take(.event(.connected(maxPayload: connection.maxPayload)))
    } catch {
      take(.unreachable(error.description))
      connectLater()
    }
  }

  private func connectLater() {
    connecting.asyncAfter(deadline: .now() + JetStreamEngine.reconnectDelay) { [weak self] in self?.connect() }
  }

  // MARK: On the queue

  /// Checks for timeouts periodically.
  private func tick() {
    guard !inputs.withLock(\.isOver) else { return }
    perform { state, effects in
      let now = ContinuousClock.now
      state.tick(now, &effects)
      state.sendRestrictions(now, &effects)
      state.send(now, &effects)
    }
    queue.asyncAfter(deadline: .now() + JetStreamEngine.tickInterval) { [weak self] in self?.tick() }
  }

  private func run() {
    let inputs: [Input] = inputs.withLock { inputs in
      inputs.isAwake = false
      // The shutdown takes the rest.
      if inputs.isOver { return [] }
      inputs.areTaken = true
      return exchange(&inputs.pending, with: [])
    }
    perform { state, effects in
      let now = ContinuousClock.now
      for input in inputs { state.handle(input, now: now, &effects) }
      state.sendRestrictions(now, &effects)
      state.send(now, &effects)
    }
    self.inputs.withLock { $0.areTaken = false }
    for case .event(.closed) in inputs where !self.inputs.withLock(\.isOver) { connectLater() }
  }

  /// Changes the state, and applies the effects.
  private func perform(_ change: (inout JetStreamState, inout Effects) -> Void) {
    var effects = Effects()
    state.withLock { state in
      change(&state, &effects)
      state.reportAvailability(&effects)
      isReachable.store(state.isAvailable, ordering: .relaxed)
    }
    link.withLock { link in
      if let connection = link?.connection {
        for action in effects.actions { perform(action, connection, &link!.subscriptions) }
      }
    }
    for call in effects.calls { call.perform { take(.presence($0, $1, $2)) } }
    for (quota, count) in effects.settled { quota?.release(count) }
    for (done, isStored) in effects.stored { done(isStored) }
    if effects.needsAnotherRun {
      queue.asyncAfter(deadline: .now() + JetStreamEngine.openDelay) { [weak self] in self?.run() }
    }
    for (level, text) in effects.logs { options.logger.log(level: level, "\(text)") }
  }

  private func perform(
    _ action: Effects.Action, _ connection: NatsConnection,
    _ subscriptions: inout [String: NatsConnection.Subscription]
  ) {
    do throws(NatsError) {
      switch action {
      case .subscribe(let subject): subscriptions[subject] = try connection.subscribe(subject)
      case .unsubscribe(let subject): subscriptions[subject] = nil
      case .publish(let message):
        try connection.publish(message.subject, reply: message.reply, headers: message.headers, bytes: message.bytes)
      }
    } catch {
      // Other messages that could not be sent are sent again later.
      if error.isTooLarge, case .publish(let message) = action, let number = message.number { take(.tooLarge(number)) }
    }
  }
}

/// A room of the stream.
private final class JetStreamRoom: EngineRoom {
  let number: Int
  private let engine: JetStreamEngine

  init(_ engine: JetStreamEngine, _ number: Int) { (self.engine, self.number) = (engine, number) }

  func publish(_ draft: () -> Draft, _ quota: PublisherQuota?) -> Position? {
    engine.take(.publish(number, draft(), quota, publisher: quota?.id ?? 0))
    return nil
  }

  func typing(_ name: String) { engine.take(.typing(number, name)) }

  func presenceChanged() { engine.take(.presenceChanged(number)) }

  func close() { engine.take(.close(number)) }
}

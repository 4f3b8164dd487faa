public import ConfabChat
internal import Dispatch
internal import Logging
internal import Synchronization

/// Keeps the messages of rooms in a stream of NATS JetStream, and gives them the stream's order: all servers that use the
/// same one are one chat.
///
/// A message has its place when the stream has it; it is heard when it has come back from there. What is said while
/// the broker is away waits, and is sent when it is back. Each message is in the stream once, and those of one sender are
/// in their order, whatever has to be sent again; the article Cluster of ConfabChat tells what can be lost when.
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
  /// Does all that takes time, or may wait; the rooms are called from here, too. What follows is touched here only.
  private let queue = DispatchQueue(label: "confab.nats")
  /// Connects, which may take seconds.
  private let connecting = DispatchQueue(label: "confab.nats.connect")
  private let state: Mutex<EngineState>
  private let link = Mutex<Link?>(nil)

  private struct Link {
    let connection: NatsConnection
    var subscriptions: [String: NatsConnection.Subscription] = [:]
  }

  private struct Inputs {
    var waiting: [Input] = []
    var isAwake = false
    /// Whether some have been taken that the state may not have yet.
    var areTaken = false
    var isOver = false
  }

  /// How often it looks whether something has taken too long.
  private static let tick = DispatchTimeInterval.milliseconds(250)
  private static let moment = DispatchTimeInterval.milliseconds(20)
  /// When it tries again to connect, after it has failed or libnats has given up.
  private static let pause = DispatchTimeInterval.seconds(1)
  /// How long it waits at the end for what is on its way.
  private static let farewell = Duration.seconds(3)

  /// Begins to connect, and goes on until it has succeeded: the brokers may be away.
  ///
  /// - Throws: when the options cannot be used, and when a file of theirs cannot be read.
  public init(_ options: JetStreamOptions) throws(JetStreamError) {
    try options.validate()
    self.options = options
    state = Mutex(EngineState(options))
    connecting.async { [weak self] in self?.connect() }
    queue.async { [weak self] in self?.look() }
  }

  public var isAvailable: Bool { isReachable.load(ordering: .relaxed) }

  public func open(_ room: String, _ sink: any RoomSink) -> any RoomOrder {
    let order = JetStreamOrder(self, rooms.add(1, ordering: .relaxed).newValue)
    take(.open(order.room, room, sink))
    return order
  }

  public func shutdown() async {
    // The others are told that nobody is here any more.
    take(.closeAll)
    let end = ContinuousClock.now + JetStreamEngine.farewell
    while ContinuousClock.now < end, !isIdle { try? await Task.sleep(for: .milliseconds(20)) }
    inputs.withLock { $0.isOver = true }
    let count = state.withLock { $0.outbox.messages.count }
    if count > 0 { options.logger.warning("\(count) messages have not been stored") }
    // OpenSSL must not be in use any more when the process ends: an attempt to connect may last some seconds yet.
    await withCheckedContinuation { done in connecting.async { done.resume() } }
    await withCheckedContinuation { done in
      queue.async {
        self.link.withLock { $0 = nil }
        done.resume()
      }
    }
  }

  private var isIdle: Bool {
    inputs.withLock { $0.waiting.isEmpty && !$0.areTaken } && state.withLock(\.outbox.isEmpty)
  }

  /// Has it looked at, soon.
  func take(_ input: Input) {
    let isAsleep = inputs.withLock { inputs in
      inputs.waiting.append(input)
      defer { inputs.isAwake = true }
      return !inputs.isAwake
    }
    if isAsleep { queue.async { self.run() } }
  }

  // MARK: On the queue that connects

  private func connect() {
    guard !inputs.withLock(\.isOver) else { return }
    do throws(NatsConnection.Failure) {
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
    connecting.asyncAfter(deadline: .now() + JetStreamEngine.pause) { [weak self] in self?.connect() }
  }

  // MARK: On the queue

  /// Looks whether something has taken too long, again and again.
  private func look() {
    guard !inputs.withLock(\.isOver) else { return }
    perform { state, effects in
      let now = ContinuousClock.now
      state.tick(now, &effects)
      state.send(now, &effects)
    }
    queue.asyncAfter(deadline: .now() + JetStreamEngine.tick) { [weak self] in self?.look() }
  }

  private func run() {
    let inputs = inputs.withLock { inputs in
      inputs.isAwake = false
      // That the connection is lost, when it has been given up, is no news.
      let waiting = exchange(&inputs.waiting, with: [])
      inputs.areTaken = true
      return inputs.isOver ? [] : waiting
    }
    perform { state, effects in
      let now = ContinuousClock.now
      for input in inputs { state.handle(input, now: now, &effects) }
      state.send(now, &effects)
    }
    self.inputs.withLock { $0.areTaken = false }
    for case .event(.closed) in inputs where !self.inputs.withLock(\.isOver) { connectLater() }
  }

  /// Lets the state change, and does what follows from it.
  private func perform(_ change: (inout EngineState, inout Effects) -> Void) {
    var effects = Effects()
    state.withLock { state in
      change(&state, &effects)
      state.tellAvailability(&effects)
      isReachable.store(state.isAvailable, ordering: .relaxed)
    }
    link.withLock { link in
      if let connection = link?.connection {
        for action in effects.actions { perform(action, connection, &link!.subscriptions) }
      }
    }
    for call in effects.calls {
      switch call {
      case .opened(let sink, let kept): sink.opened(kept)
      case .placed(let sink, let posts): sink.placed(posts)
      case .refused(let sink, let posts): sink.refused(posts)
      case .available(let sink, let isAvailable): sink.availabilityChanged(isAvailable)
      case .attendance(let sink, let room, let version):
        if let (attendance, version) = sink.attendance(unless: version) { take(.attendance(room, attendance, version)) }
      case .attended(let sink, let server, let attendance): sink.attended(server, attendance)
      case .typed(let sink, let name): sink.typed(name)
      }
    }
    for (sender, count) in effects.settled { sender?.settled(count) }
    if effects.isToLookAgain {
      queue.asyncAfter(deadline: .now() + JetStreamEngine.moment) { [weak self] in self?.run() }
    }
    for (level, text) in effects.logs { options.logger.log(level: level, "\(text)") }
  }

  private func perform(
    _ action: Effects.Action, _ connection: NatsConnection,
    _ subscriptions: inout [String: NatsConnection.Subscription]
  ) {
    do throws(NatsConnection.Failure) {
      switch action {
      case .subscribe(let subject): subscriptions[subject] = try connection.subscribe(subject)
      case .unsubscribe(let subject): subscriptions[subject] = nil
      case .publish(let message):
        try connection.publish(message.subject, reply: message.reply, headers: message.headers, bytes: message.bytes)
      }
    } catch {
      // What is not sent otherwise is sent again in time.
      if error.isTooLarge, case .publish(let message) = action, let number = message.number { take(.tooLarge(number)) }
    }
  }
}

/// A room's messages in the stream.
private final class JetStreamOrder: RoomOrder {
  let room: Int
  private let engine: JetStreamEngine

  init(_ engine: JetStreamEngine, _ room: Int) { (self.engine, self.room) = (engine, room) }

  func place(_ post: () -> Post, from sender: Sender?) -> Place? {
    engine.take(.place(room, post(), sender, from: sender?.id ?? 0))
    return nil
  }

  func typing(_ name: String) { engine.take(.typing(room, name)) }

  func attendanceChanged() { engine.take(.attendanceChanged(room)) }

  func close() { engine.take(.close(room)) }
}

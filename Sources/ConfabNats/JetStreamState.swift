internal import Confab
internal import ConfabChat
internal import DequeModule
internal import Logging

/// Input of a ``JetStreamState``.
enum Input: Sendable {
  case open(Int, String, any RoomDelegate)
  /// A message for a room, from the publisher with this number.
  case publish(Int, Draft, PublisherQuota?, publisher: UInt64)
  case close(Int)
  case closeAll
  case event(NatsConnection.Event)
  /// A failed connection attempt, with its reason.
  case unreachable(String)
  /// The presence of a room has changed.
  case presenceChanged(Int)
  /// The presence of a room, and its version.
  case presence(Int, ServerPresence, Int)
  case typing(Int, String)
  /// The broker rejects a message for its size.
  case tooLarge(Int)
  case openRestrictions(any RestrictionDelegate)
  indirect case restrict(RestrictionChange, @Sendable (Bool) -> Void)
}

/// State machine of a ``JetStreamEngine``. It returns ``Effects`` for its caller to apply, and neither blocks nor calls
/// a room.
struct JetStreamState {
  typealias Instant = ContinuousClock.Instant

  /// Phase of the connection and the stream.
  enum Phase: Equatable {
    case disconnected(Instant)
    /// The stream has been requested, or will be.
    case asking(Instant)
    case ready
  }

  struct StreamRoom {
    let subject: String
    /// Nil when the room is closed, but still has pending messages.
    var delegate: (any RoomDelegate)?
    var reader: RoomReader
    var waiting = 0
  }

  /// Time without an acknowledgement after which a message is sent again.
  static let acknowledgementTimeout = Duration.seconds(2)
  /// Time without an acknowledgement after which the stream counts as unavailable.
  static let stallTimeout = Duration.seconds(4)
  /// Time without an acknowledgement after which a message is looked for in the stream. It is much shorter than the
  /// stream's duplicate window.
  static let lookupTimeout = Duration.seconds(20)
  /// Maximum number of consumers created at the same time.
  static let maxOpening = 32

  let options: JetStreamOptions
  /// Unique prefix of the subjects for messages to this server.
  let instance: String
  var inbox: String { "_INBOX.\(instance)" }

  var phase: Phase
  /// Reason for the missing connection, if known.
  private var connectError: String?
  /// Whether messages can get offsets.
  var isAvailable = false
  /// Whether acknowledgements are overdue.
  var isStalled = false
  var rooms: [Int: StreamRoom] = [:]
  var nextMessage = 0
  var publishQueue = PublishQueue()
  var erasures = Erasures()
  var presenceExchange: PresenceExchange
  var exchange: RestrictionExchange
  /// Rooms that have been read, but are not open yet.
  var caughtUp: Set<Int> = []
  /// Rooms whose consumer is pending, oldest first.
  var opening: Deque<Int> = []
  var requested: Set<Int> = []
  var epoch: String?
  /// Creation time of the stream to which the epoch belongs.
  var created = ""
  /// Maximum number of messages of a room in the stream.
  var roomLimit = Int.max
  /// Number of apparent losses of messages in the stream.
  var losses = 0
  /// Number of confirmed losses. Each begins another epoch.
  var lossCount = 0
  var warnedAt: Instant?

  init(_ options: JetStreamOptions, instance: UInt64 = .random(in: .min ... .max), now: Instant = .now) {
    self.options = options
    self.instance = String(instance, radix: 36)
    phase = .disconnected(now)
    presenceExchange = PresenceExchange(self.instance, prefix: options.prefix)
    exchange = RestrictionExchange(at: now)
  }

  // MARK: Rooms

  private mutating func open(
    _ number: Int, _ name: String, _ delegate: any RoomDelegate, _ now: Instant, _ effects: inout Effects
  ) {
    let token = Subject.escaped(name)
    let subject = "\(options.prefix).room.\(token)"
    rooms[number] = StreamRoom(subject: subject, delegate: delegate, reader: RoomReader(at: now))
    // The availability may have changed since the room was created.
    effects.calls.append(.available(delegate, isAvailable))
    if token.utf8.count > options.maxTokenLength {
      effects.logs.append((.error, "room name too long for NATS, the room stays closed: \(name.prefix(64))"))
    } else {
      opening.append(number)
      presenceExchange.open(number, token, delegate, &effects)
    }
  }

  private mutating func close(_ number: Int, _ effects: inout Effects) {
    rooms[number]?.delegate = nil
    presenceExchange.close(number, &effects)
    removeIfDone(number, &effects)
  }

  mutating func removeIfDone(_ number: Int, _ effects: inout Effects) {
    guard let room = rooms[number], room.delegate == nil, room.waiting == 0 else { return }
    deleteConsumer(number, room.reader.generation, &effects)
    rooms[number] = nil
    requested.remove(number)
  }

  private mutating func publish(_ draft: Draft, _ quota: PublisherQuota?, _ publisherID: UInt64, in number: Int) {
    guard let room = rooms[number] else { return }
    nextMessage += 1
    let id = draft.id(in: room.subject) ?? "\(instance) \(nextMessage)"
    publishQueue.append(
      PendingDraft(room: number, subject: room.subject, id: id, draft: draft, quota: quota, publisherID: publisherID))
    rooms[number]?.waiting += 1
  }

  /// Rooms in a deterministic order.
  private var sortedRooms: [(key: Int, value: StreamRoom)] { rooms.sorted { $0.key < $1.key } }

  // MARK: Input

  mutating func handle(_ input: Input, now: Instant, _ effects: inout Effects) {
    switch input {
    case .open(let number, let name, let delegate): open(number, name, delegate, now, &effects)
    case .publish(let number, let draft, let quota, let publisher): publish(draft, quota, publisher, in: number)
    case .close(let number): close(number, &effects)
    case .closeAll: for number in rooms.keys.sorted() { close(number, &effects) }
    case .presenceChanged(let number): presenceExchange.changed(number)
    case .presence(let number, let presence, let version):
      presenceExchange.report(number, presence, version, now, &effects)
    case .typing(let number, let name): presenceExchange.typing(number, name, &effects)
    case .tooLarge(let number): drop(number, &effects)
    case .openRestrictions(let delegate): openRestrictions(delegate)
    case .restrict(let change, let done): store(change, done, &effects)
    case .event(let event): handle(event, now, &effects)
    case .unreachable(let reason): connectError = reason
    }
  }

  private mutating func handle(_ event: NatsConnection.Event, _ now: Instant, _ effects: inout Effects) {
    switch event {
    case .connected(let maxPayload):
      connectError = nil
      effects.logs.append((.notice, "connected to NATS"))
      check(maxPayload, &effects)
      presenceExchange.connected(now)
      restartRestrictions(at: now, &effects)
      lookForStream(now, &effects)
    case .disconnected:
      effects.logs.append((.warning, "lost the connection to NATS"))
      phase = .disconnected(now)
      restartRestrictions(at: now, &effects)
      suspendReaders(now)
    case .closed: phase = .disconnected(now)
    case .failed(let text): effects.logs.append((.warning, "NATS: \(text)"))
    case .message(let message): received(message, now, &effects)
    }
  }

  /// Warns if the broker rejects messages that clients may send.
  private func check(_ maxPayload: Int, _ effects: inout Effects) {
    let size = options.maxMessageSize + JetStreamOptions.maxHeaderSize
    if maxPayload >= size { return }
    let text = """
      NATS accepts messages of up to \(maxPayload) bytes (its max_payload), clients may send \(options.maxMessageSize): larger \
      ones are rejected, unless max_payload is \(size) or more
      """
    effects.logs.append((.warning, text))
  }

  private mutating func received(_ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    // Messages from a consumer have the subject of the room; heartbeats do not.
    guard message.subject.begins(with: inbox) else {
      if receivedRestriction(message, now, &effects) { return }
      if !presenceExchange.received(message, now, &effects) { delivered(message, now, &effects) }
      return
    }
    let tokens = message.subject.parts(separatedBy: ".").dropFirst(2)
    let numbers = tokens.dropFirst().compactMap { Int($0) }
    switch (tokens.first, numbers.count) {
    case ("stream", 0): streamFound(message, now, &effects)
    case ("stored", 1): stored(numbers[0], message, now, &effects)
    case ("erased", 1): erased(numbers[0], message, now, &effects)
    case ("restrictionStream", 0): restrictionStreamFound(message, now, &effects)
    case ("restrictionConsumer", 1) where numbers[0] == exchange.generation:
      restrictionConsumerMade(message, now, &effects)
    case ("restrictions", 1) where numbers[0] == exchange.generation: restrictionHeartbeat(message, now, &effects)
    case ("restricted", 1): restricted(numbers[0], message, now, &effects)
    case ("swept", 1): restrictionSwept(numbers[0], message)
    case ("ack", 1): acknowledged(numbers[0], message, now, &effects)
    case ("made", 2) where isReader(numbers[0], numbers[1]): made(numbers[0], message, now, &effects)
    case ("read", 2) where isReader(numbers[0], numbers[1]): heartbeat(numbers[0], message, now, &effects)
    default: break
    }
  }

  var isConnected: Bool { if case .disconnected = phase { false } else { true } }

  func isReader(_ number: Int, _ generation: Int) -> Bool { rooms[number]?.reader.isReading(generation) ?? false }

  private var unreachable: String {
    let urls = options.urls.map(JetStreamOptions.withoutSecret).joined(separator: ", ")
    return "NATS cannot be reached: \(connectError ?? "the connection is lost") (\(urls))"
  }

  // MARK: Time

  /// Checks all timeouts. Called several times per second.
  mutating func tick(_ now: Instant, _ effects: inout Effects) {
    switch phase {
    case .disconnected(let since):
      if now - since > .seconds(2) { warn(unreachable, now, &effects) }
    case .asking(let since): if now - since > .seconds(1) { lookForStream(now, &effects) }
    case .ready:
      for number in rooms.filter({ $0.value.reader.isLost(now: now) }).keys.sorted() {
        restart(number, at: now, &effects)
      }
      for number in publishQueue.overdue(JetStreamState.acknowledgementTimeout, now: now) {
        if let message = publishQueue.messages[number], message.isOlder(than: JetStreamState.lookupTimeout, now),
          rooms[message.room]?.reader.isLive(for: JetStreamState.lookupTimeout, now) == true
        {
          restart(message.room, at: now, &effects)
        }
        publishQueue.resend(number)
      }
    }
    if phase == .ready { presenceExchange.tick(now, &effects) }
    isStalled = publishQueue.age(now: now) > JetStreamState.stallTimeout
  }

  /// Reports changes of availability to the rooms.
  mutating func reportAvailability(_ effects: inout Effects) {
    let isAvailable = phase == .ready && !isStalled
    guard isAvailable != self.isAvailable else { return }
    self.isAvailable = isAvailable
    for (_, room) in sortedRooms {
      if let delegate = room.delegate { effects.calls.append(.available(delegate, isAvailable)) }
    }
  }

  mutating func warn(_ text: String, _ now: Instant, _ effects: inout Effects) {
    if let warnedAt, now - warnedAt < .seconds(10) { return }
    warnedAt = now
    effects.logs.append((.warning, text))
  }
}

internal import Confab
internal import ConfabChat
internal import Logging

/// An event for an ``EngineState``.
enum Input: Sendable {
  case open(Int, String, any RoomSink)
  /// A message for a room, from the sender with this number.
  case place(Int, Post, Sender?, from: UInt64)
  case close(Int)
  case closeAll
  case event(NatsConnection.Event)
  /// A failed connection attempt, with its reason.
  case unreachable(String)
  /// The presence of a room has changed.
  case attendanceChanged(Int)
  /// The presence of a room, and its version.
  case attendance(Int, Attendance, Int)
  case typing(Int, String)
  /// The broker rejects a message for its size.
  case tooLarge(Int)
}

/// State machine of a ``JetStreamEngine``. It returns ``Effects`` for its caller to apply, and neither blocks nor calls
/// a room.
struct EngineState {
  typealias Instant = ContinuousClock.Instant

  /// Phase of the connection and the stream.
  enum Phase: Equatable {
    case disconnected(Instant)
    /// The stream has been requested, or will be.
    case asking(Instant)
    case ready
  }

  struct OpenRoom {
    let subject: String
    /// Nil when the room is closed, but still has pending messages.
    var sink: (any RoomSink)?
    var reader: RoomReader
    var waiting = 0
  }

  /// Time without an acknowledgement after which a message is sent again.
  static let patience = Duration.seconds(2)
  /// Time without an acknowledgement after which the stream counts as unavailable.
  static let stall = Duration.seconds(4)
  /// Time without an acknowledgement after which a message is looked for in the stream. It is much shorter than the
  /// stream's duplicate window.
  static let doubt = Duration.seconds(20)
  /// Maximum number of consumers created at the same time.
  static let maxOpening = 32

  let options: JetStreamOptions
  /// Unique prefix of the subjects for messages to this server.
  let instance: String
  var inbox: String { "_INBOX.\(instance)" }

  var phase: Phase
  /// Reason for the missing connection, if known.
  private var obstacle: String?
  /// Whether messages can get offsets.
  var isAvailable = false
  /// Whether acknowledgements are overdue.
  var isStalled = false
  var rooms: [Int: OpenRoom] = [:]
  var nextMessage = 0
  var outbox = Outbox()
  var neighbourhood: Neighbourhood
  /// Rooms that have been read, but are not open yet.
  var caughtUp: Set<Int> = []
  /// Rooms whose consumer is pending, oldest first.
  var opening: ArraySlice<Int> = []
  var asked: Set<Int> = []
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
    neighbourhood = Neighbourhood(self.instance, prefix: options.prefix)
  }

  // MARK: Rooms

  private mutating func open(
    _ number: Int, _ name: String, _ sink: any RoomSink, _ now: Instant, _ effects: inout Effects
  ) {
    let token = Subject.escaped(name)
    let subject = "\(options.prefix).room.\(token)"
    rooms[number] = OpenRoom(subject: subject, sink: sink, reader: RoomReader(at: now))
    // The availability may have changed since the room was created.
    effects.calls.append(.available(sink, isAvailable))
    if token.utf8.count > options.maxTokenLength {
      effects.logs.append((.error, "room name too long for NATS, the room stays closed: \(name.prefix(64))"))
    } else {
      opening.append(number)
      neighbourhood.open(number, token, sink, &effects)
    }
  }

  private mutating func close(_ number: Int, _ effects: inout Effects) {
    rooms[number]?.sink = nil
    neighbourhood.close(number, &effects)
    removeIfDone(number, &effects)
  }

  mutating func removeIfDone(_ number: Int, _ effects: inout Effects) {
    guard let room = rooms[number], room.sink == nil, room.waiting == 0 else { return }
    deleteConsumer(number, room.reader.generation, &effects)
    rooms[number] = nil
    asked.remove(number)
  }

  private mutating func place(_ post: Post, from sender: Sender?, _ senderID: UInt64, in number: Int) {
    guard let room = rooms[number] else { return }
    nextMessage += 1
    let id = post.id(in: room.subject) ?? "\(instance) \(nextMessage)"
    outbox.append(
      Outbox.Message(room: number, subject: room.subject, id: id, post: post, sender: sender, senderID: senderID))
    rooms[number]?.waiting += 1
  }

  /// Rooms in a deterministic order.
  private var sortedRooms: [(key: Int, value: OpenRoom)] { rooms.sorted { $0.key < $1.key } }

  // MARK: Input

  mutating func handle(_ input: Input, now: Instant, _ effects: inout Effects) {
    switch input {
    case .open(let number, let name, let sink): open(number, name, sink, now, &effects)
    case .place(let number, let post, let sender, let id): place(post, from: sender, id, in: number)
    case .close(let number): close(number, &effects)
    case .closeAll: for number in rooms.keys.sorted() { close(number, &effects) }
    case .attendanceChanged(let number): neighbourhood.changed(number)
    case .attendance(let number, let attendance, let version):
      neighbourhood.tell(number, attendance, version, now, &effects)
    case .typing(let number, let name): neighbourhood.typing(number, name, &effects)
    case .tooLarge(let number): drop(number, &effects)
    case .event(let event): handle(event, now, &effects)
    case .unreachable(let reason): obstacle = reason
    }
  }

  private mutating func handle(_ event: NatsConnection.Event, _ now: Instant, _ effects: inout Effects) {
    switch event {
    case .connected(let maxPayload):
      obstacle = nil
      effects.logs.append((.notice, "connected to NATS"))
      check(maxPayload, &effects)
      neighbourhood.connected(now)
      lookForStream(now, &effects)
    case .disconnected:
      effects.logs.append((.warning, "lost the connection to NATS"))
      phase = .disconnected(now)
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
      if !neighbourhood.received(message, now, &effects) { delivered(message, now, &effects) }
      return
    }
    let tokens = message.subject.parts(separatedBy: ".").dropFirst(2)
    let numbers = tokens.dropFirst().compactMap { Int($0) }
    switch (tokens.first, numbers.count) {
    case ("stream", 0): streamFound(message, now, &effects)
    case ("ack", 1): acknowledged(numbers[0], message, now, &effects)
    case ("made", 2) where isReader(numbers[0], numbers[1]): made(numbers[0], message, now, &effects)
    case ("read", 2) where isReader(numbers[0], numbers[1]): heartbeat(numbers[0], message, now, &effects)
    default: break
    }
  }

  func isReader(_ number: Int, _ generation: Int) -> Bool { rooms[number]?.reader.isReading(generation) ?? false }

  // MARK: Messages

  private mutating func acknowledged(_ number: Int, _ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    guard let room = outbox.messages[number]?.room else { return }
    switch Api.decode(message, as: PublishAck.self) {
    case .success(let ack) where ack.seq > 0:
      rooms[room]?.reader.know(ack.seq, now: now)
      guard let said = outbox.settle(number) else { return }
      if ack.duplicate == true, let open = rooms[room], open.reader.isOpened, open.reader.last >= ack.seq,
        let sink = open.sink
      {
        // The room has had the message, and may have dropped it since.
        effects.placed(PlacedPost(said.post, at: Place(id: ack.seq, at: WallClock.milliseconds)), room, sink)
      }
      settled(said, &effects)
      isStalled = false
    case .success: isNotStored(number, "the broker has not confirmed it", now, &effects)
    case .failure(let error): isNotStored(number, error.text, now, &effects)
    }
  }

  /// Asks again soon. A leader without a quorum also answers with the sequence number 0 when it has the message itself.
  /// Such a message may or may not be stored later.
  private mutating func isNotStored(_ number: Int, _ reason: String, _ now: Instant, _ effects: inout Effects) {
    warn("a message is not stored yet: \(reason)", now, &effects)
    outbox.hurry(number, to: now - EngineState.patience + .milliseconds(200))
  }

  mutating func settled(_ message: Outbox.Message, _ effects: inout Effects) {
    effects.settled.append((message.sender, message.post.bytes.count))
    rooms[message.room]?.waiting -= 1
    removeIfDone(message.room, &effects)
  }

  /// Drops a message that the broker rejects permanently.
  private mutating func drop(_ number: Int, _ effects: inout Effects) {
    guard let message = outbox.settle(number) else { return }
    effects.logs.append(
      (.error, "a message of \(message.post.bytes.count) bytes is larger than NATS accepts (its max_payload)"))
    if let sink = rooms[message.room]?.sink { effects.calls.append(.refused(sink, [message.post])) }
    settled(message, &effects)
  }

  /// Sends the messages that are due.
  mutating func send(_ now: Instant, _ effects: inout Effects) {
    guard phase == .ready else { return }
    makeReaders(now, &effects)
    openRooms(now, &effects)
    // Messages are sent only after the room has been read, so that earlier ones that were stored are known.
    let rooms = rooms
    for (number, message) in outbox.take(now: now, isOpen: { rooms[$0]?.reader.phase == .live }) {
      effects.publish(
        message.subject, reply: "\(inbox).ack.\(number)", headers: message.post.headers(id: message.id),
        bytes: message.post.bytes, number: number)
    }
  }

  private var unreachable: String {
    let urls = options.urls.map(JetStreamOptions.withoutSecret).joined(separator: ", ")
    return "NATS cannot be reached: \(obstacle ?? "the connection is lost") (\(urls))"
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
      for number in outbox.overdue(EngineState.patience, now: now) {
        if let message = outbox.messages[number], message.isOlder(than: EngineState.doubt, now),
          rooms[message.room]?.reader.isLive(for: EngineState.doubt, now) == true
        {
          restart(message.room, at: now, &effects)
        }
        outbox.putBack(number)
      }
    }
    if phase == .ready { neighbourhood.tick(now, &effects) }
    isStalled = outbox.age(now: now) > EngineState.stall
  }

  /// Reports changes of availability to the rooms.
  mutating func tellAvailability(_ effects: inout Effects) {
    let isAvailable = phase == .ready && !isStalled
    guard isAvailable != self.isAvailable else { return }
    self.isAvailable = isAvailable
    for (_, room) in sortedRooms {
      if let sink = room.sink { effects.calls.append(.available(sink, isAvailable)) }
    }
  }

  mutating func warn(_ text: String, _ now: Instant, _ effects: inout Effects) {
    if let warnedAt, now - warnedAt < .seconds(10) { return }
    warnedAt = now
    effects.logs.append((.warning, text))
  }
}

internal import Confab
internal import ConfabChat
internal import Logging

/// What an ``EngineState`` is told.
enum Input: Sendable {
  case open(Int, String, any RoomSink)
  /// A message for a room, of a sender that has this number.
  case place(Int, Post, Sender?, from: UInt64)
  case close(Int)
  case closeAll
  case event(NatsConnection.Event)
  /// No connection could be made, and why.
  case unreachable(String)
  /// There is news of who is in a room.
  case attendanceChanged(Int)
  /// Who is in a room, and the version of that.
  case attendance(Int, Attendance, Int)
  case typing(Int, String)
  /// A message is larger than the broker takes.
  case tooLarge(Int)
}

/// What a ``JetStreamEngine`` knows. It decides, and ``Effects`` says what is to be done: nothing here waits, or calls a
/// room.
struct EngineState {
  typealias Instant = ContinuousClock.Instant

  /// The connection, and the stream.
  enum Phase: Equatable {
    case disconnected(Instant)
    /// Asks for the stream, or is to ask again.
    case asking(Instant)
    case ready
  }

  struct OpenRoom {
    let subject: String
    /// Nil when nobody needs it any more, but messages of its wait.
    var sink: (any RoomSink)?
    var reader: RoomReader
    var waiting = 0
  }

  /// How long an acknowledgement may take before a message is sent again …
  static let patience = Duration.seconds(2)
  /// … before the stream is taken for away …
  static let stall = Duration.seconds(4)
  /// … and before it is looked for in the stream: much less than the stream knows it for.
  static let doubt = Duration.seconds(20)
  /// So many consumers are made at the same time.
  static let maxOpening = 32

  let options: JetStreamOptions
  /// Unique: what is sent to this server has a subject that begins with it.
  let instance: String
  var inbox: String { "_INBOX.\(instance)" }

  var phase: Phase
  /// Why there is no connection, if that is known.
  private var obstacle: String?
  /// Whether messages can be given places.
  var isAvailable = false
  /// Whether messages are not acknowledged.
  var isStalled = false
  var rooms: [Int: OpenRoom] = [:]
  var nextMessage = 0
  var outbox = Outbox()
  var neighbourhood: Neighbourhood
  /// Rooms that have been read, but are not open yet.
  var caughtUp: Set<Int> = []
  /// Rooms whose reader is to be made, oldest first, and those whose one is being made.
  var opening: ArraySlice<Int> = []
  var asked: Set<Int> = []
  var epoch: String?
  /// When the stream was made that the epoch is of.
  var created = ""
  /// Maximum number of messages of a room in the stream.
  var roomLimit = Int.max
  /// How often the stream has seemed to have less than it had.
  var losses = 0
  /// How often it has been found to have less: each time another epoch begins.
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
    // That may have changed since the room was made.
    effects.calls.append(.available(sink, isAvailable))
    if token.utf8.count > options.maxTokenLength {
      effects.logs.append((.error, "a room has too long a name for NATS and stays closed: \(name.prefix(64))"))
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

  /// In an order of which nothing depends on chance.
  private var sortedRooms: [(key: Int, value: OpenRoom)] { rooms.sorted { $0.key < $1.key } }

  // MARK: What comes

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
      effects.logs.append((.warning, "the connection to NATS is lost"))
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
      NATS takes messages of up to \(maxPayload) bytes (its max_payload), clients may send \(options.maxMessageSize): larger \
      ones are refused, unless max_payload is \(size) or more
      """
    effects.logs.append((.warning, text))
  }

  private mutating func received(_ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    // What a consumer sends has the subject of the room, but for its heartbeats.
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
        // The room has had it, perhaps so long ago that it has forgotten it.
        effects.placed(PlacedPost(said.post, at: Place(id: ack.seq, at: WallClock.milliseconds)), room, sink)
      }
      settled(said, &effects)
      isStalled = false
    case .success: isNotStored(number, "it is on its way", now, &effects)
    case .failure(let error): isNotStored(number, error.text, now, &effects)
    }
  }

  /// Asks again soon. A leader answers so, too, with the number 0, when it has the message and not enough servers have
  /// taken it from there: whether they ever will is open.
  private mutating func isNotStored(_ number: Int, _ reason: String, _ now: Instant, _ effects: inout Effects) {
    warn("a message is not stored yet: \(reason)", now, &effects)
    outbox.hurry(number, to: now - EngineState.patience + .milliseconds(200))
  }

  mutating func settled(_ message: Outbox.Message, _ effects: inout Effects) {
    effects.settled.append((message.sender, message.post.bytes.count))
    rooms[message.room]?.waiting -= 1
    removeIfDone(message.room, &effects)
  }

  /// The broker does not take it, and never will.
  private mutating func drop(_ number: Int, _ effects: inout Effects) {
    guard let message = outbox.settle(number) else { return }
    effects.logs.append(
      (.error, "a message of \(message.post.bytes.count) bytes is larger than NATS takes (its max_payload)"))
    if let sink = rooms[message.room]?.sink { effects.calls.append(.refused(sink, [message.post])) }
    settled(message, &effects)
  }

  /// What is to be sent now.
  mutating func send(_ now: Instant, _ effects: inout Effects) {
    guard phase == .ready else { return }
    makeReaders(now, &effects)
    openRooms(now, &effects)
    // Not before all has been read that there is: what was sent before and is there already is known then.
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

  /// Several times a second.
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

  /// Tells the rooms when the stream is there, or away.
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

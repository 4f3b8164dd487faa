internal import Confab
internal import ConfabChat
internal import Logging

/// What an ``EngineState`` is told.
enum Input: Sendable {
  case open(Int, String, any RoomSink)
  case place(Int, Post, Sender?)
  case close(Int)
  case event(NatsConnection.Event)
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

  private(set) var phase = Phase.disconnected(.now)
  /// Whether messages can be given places.
  private(set) var isAvailable = false
  /// Whether messages are not acknowledged.
  private var isStalled = false
  private var rooms: [Int: OpenRoom] = [:]
  private var nextMessage = 0
  private(set) var outbox = Outbox()
  private var neighbourhood: Neighbourhood
  /// Rooms that have been read, but are not open yet.
  private var caughtUp: Set<Int> = []
  /// Rooms whose reader is to be made, oldest first, and those whose one is being made.
  private var opening: ArraySlice<Int> = []
  private var asked: Set<Int> = []
  private var epoch: String?
  /// When the stream was made that the epoch is of.
  private var created = ""
  /// How often the stream has seemed to have less than it had.
  private var losses = 0
  private var warnedAt: Instant?

  init(_ options: JetStreamOptions) {
    self.options = options
    instance = String(UInt64.random(in: .min ... .max), radix: 36)
    neighbourhood = Neighbourhood(instance, prefix: options.prefix)
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
    if token.utf8.count > Subject.maxTokenLength {
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

  private mutating func removeIfDone(_ number: Int, _ effects: inout Effects) {
    guard let room = rooms[number], room.sink == nil, room.waiting == 0 else { return }
    deleteConsumer(number, room.reader.generation, &effects)
    rooms[number] = nil
    asked.remove(number)
  }

  private mutating func place(_ post: Post, from sender: Sender?, in number: Int) {
    guard let room = rooms[number] else { return }
    nextMessage += 1
    // The same tag is the same message, whichever server it has come to.
    let id = post.tag.map { "\(room.subject)/\($0)" } ?? "\(instance) \(nextMessage)"
    outbox.append(Outbox.Message(room: number, subject: room.subject, id: id, post: post, sender: sender))
    rooms[number]?.waiting += 1
  }

  // MARK: What comes

  mutating func handle(_ input: Input, now: Instant, _ effects: inout Effects) {
    switch input {
    case .open(let number, let name, let sink): open(number, name, sink, now, &effects)
    case .place(let number, let post, let sender): place(post, from: sender, in: number)
    case .close(let number): close(number, &effects)
    case .attendance(let number, let attendance, let version):
      neighbourhood.tell(number, attendance, version, now, &effects)
    case .typing(let number, let name): neighbourhood.typing(number, name, &effects)
    case .tooLarge(let number): drop(number, &effects)
    case .event(let event): handle(event, now, &effects)
    }
  }

  private mutating func handle(_ event: NatsConnection.Event, _ now: Instant, _ effects: inout Effects) {
    switch event {
    case .connected:
      effects.logs.append((.notice, "connected to NATS"))
      neighbourhood.connected(now)
      lookForStream(now, &effects)
    case .disconnected:
      effects.logs.append((.warning, "the connection to NATS is lost"))
      lose(now)
    case .closed: lose(now)
    case .failed(let text): effects.logs.append((.warning, "NATS: \(text)"))
    case .message(let message): received(message, now, &effects)
    }
  }

  private mutating func lose(_ now: Instant) {
    phase = .disconnected(now)
    outbox.putBackAll()
  }

  private mutating func received(_ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    // What a consumer sends has the subject of the room, but for its heartbeats.
    guard message.subject.hasPrefix(inbox) else {
      return neighbourhood.received(message, now, &effects) ? () : delivered(message, now, &effects)
    }
    let tokens = message.subject.split(separator: ".").dropFirst(2)
    let numbers = tokens.dropFirst().compactMap { Int($0) }
    switch (tokens.first, numbers.count) {
    case ("stream", 0): streamFound(message, now, &effects)
    case ("ack", 1): acknowledged(numbers[0], message, now, &effects)
    case ("made", 2) where isReader(numbers[0], numbers[1]): made(numbers[0], message, now, &effects)
    case ("read", 2) where isReader(numbers[0], numbers[1]): heartbeat(numbers[0], message, now, &effects)
    default: break
    }
  }

  private func isReader(_ number: Int, _ generation: Int) -> Bool { rooms[number]?.reader.generation == generation }

  // MARK: The stream

  private mutating func lookForStream(_ now: Instant, _ effects: inout Effects) {
    phase = .asking(now)
    outbox.putBackAll()
    effects.publish("$JS.API.STREAM.INFO.\(options.stream)", reply: "\(inbox).stream")
  }

  private mutating func streamFound(_ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    guard case .asking = phase else { return }
    switch Api.decode(message, as: StreamInfo.self) {
    case .success(let info):
      if let flaw = StreamConfig(options).flaw(of: info.config) {
        warn("the stream \(options.stream) cannot be used: \(flaw)", now, &effects)
      } else {
        begin(info, now, &effects)
      }
    case .failure(let error) where error.err_code == ApiError.streamNotFound:
      effects.publish(
        "$JS.API.STREAM.CREATE.\(options.stream)", reply: "\(inbox).stream", bytes: Api.encode(StreamConfig(options)))
    // Somebody has just made it with other settings.
    case .failure(let error) where error.err_code == ApiError.streamNameInUse: phase = .asking(now - .seconds(2))
    case .failure(let error): warn("the stream \(options.stream) is not there: \(error.text)", now, &effects)
    }
  }

  /// The stream is there: all rooms are read from where they were.
  private mutating func begin(_ info: StreamInfo, _ now: Instant, _ effects: inout Effects) {
    let newest = rooms.values.map(\.reader.last).max() ?? 0
    if info.created == created && info.state.last_seq < newest {
      // A server that has just become the leader may be behind for a moment.
      losses += 1
      if losses < 5 { return }
      effects.logs.append(
        (.error, "the stream has lost messages: \(info.state.last_seq) is its newest, it was \(newest)"))
      created = ""
    }
    losses = 0
    if info.created != created {
      // Another numbering begins. What other servers call it is the same unless this one has seen a loss.
      epoch = epoch == nil || !created.isEmpty ? info.created : "\(info.created) \(instance)"
      created = info.created
      for number in rooms.keys { rooms[number]?.reader.forget(at: now) }
    }
    phase = .ready
    warnedAt = nil
    asked = []
    opening = []
    for number in rooms.keys.sorted() { restart(number, at: now, &effects) }
    effects.logs.append((.notice, "the stream \(options.stream) is there, of \(info.created)"))
  }

  private mutating func warn(_ text: String, _ now: Instant, _ effects: inout Effects) {
    if let warnedAt, now - warnedAt < .seconds(10) { return }
    warnedAt = now
    effects.logs.append((.warning, text))
  }

  // MARK: Readers

  /// Has a room read again, from where it is.
  private mutating func restart(_ number: Int, at instant: Instant, _ effects: inout Effects) {
    guard let room = rooms[number] else { return }
    deleteConsumer(number, room.reader.generation, &effects)
    rooms[number]?.reader.restart(at: instant)
    asked.remove(number)
    opening.append(number)
  }

  private func deleteConsumer(_ number: Int, _ generation: Int, _ effects: inout Effects) {
    effects.actions.append(.unsubscribe(delivery(number, generation)))
    guard phase == .ready else { return }
    effects.publish(
      "$JS.API.CONSUMER.DELETE.\(options.stream).\(consumer(number, generation))", reply: "\(inbox).deleted")
  }

  /// Where a consumer sends messages to. It is a subscription of its own, since a server does not send to one that it
  /// has no subscription of that very subject for.
  private func delivery(_ number: Int, _ generation: Int) -> String { "\(inbox)-read.read.\(number).\(generation)" }

  private func consumer(_ number: Int, _ generation: Int) -> String { "\(instance)-\(number)-\(generation)" }

  private func numbers(of consumer: Substring) -> (Int, Int)? {
    let parts = consumer.split(separator: "-").dropFirst().compactMap { Int($0) }
    return parts.count == 2 ? (parts[0], parts[1]) : nil
  }

  private mutating func makeReaders(_ now: Instant, _ effects: inout Effects) {
    guard phase == .ready else { return }
    var later: [Int] = []
    while asked.count < EngineState.maxOpening, let number = opening.popFirst() {
      guard let room = rooms[number], case .waiting(let instant) = room.reader.phase else { continue }
      guard instant <= now else {
        later.append(number)
        continue
      }
      rooms[number]?.reader.ask(now: now)
      asked.insert(number)
      let name = consumer(number, room.reader.generation)
      let last = room.reader.last
      let delivery = delivery(number, room.reader.generation)
      effects.actions.append(.subscribe(delivery))
      let request = ConsumerRequest(
        stream_name: options.stream,
        config: .init(
          name: name, deliver_subject: delivery,
          deliver_policy: last > 0 ? "by_start_sequence" : "all", opt_start_seq: last > 0 ? last + 1 : nil,
          filter_subject: room.subject))
      effects.publish(
        "$JS.API.CONSUMER.CREATE.\(options.stream).\(name).\(room.subject)",
        reply: "\(inbox).made.\(number).\(room.reader.generation)", bytes: Api.encode(request))
    }
    opening.append(contentsOf: later)
  }

  private mutating func made(_ number: Int, _ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    asked.remove(number)
    switch Api.decode(message, as: ConsumerInfo.self) {
    case .success(let info): if rooms[number]?.reader.made(info, now: now) == true { caughtUp.insert(number) }
    case .failure(let error) where error.err_code == ApiError.streamNotFound: lookForStream(now, &effects)
    case .failure(let error):
      warn("a room cannot be read: \(error.text)", now, &effects)
      restart(number, at: now + .seconds(1), &effects)
    }
  }

  /// What a consumer says when there is no message to send, or when it wants to know how far it has been read.
  private mutating func heartbeat(_ number: Int, _ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    // Answered when all before it has been handled: the server sends no more than so much in advance.
    let stalled = message.headers["Nats-Consumer-Stalled"]
    if let reply = message.reply.isEmpty ? stalled : message.reply { effects.publish(reply) }
    guard message.reply.isEmpty, let sent = message.headers["Nats-Last-Consumer"].flatMap({ Int($0) }) else { return }
    progress(number, rooms[number]?.reader.beat(sent, now: now), nil, now, &effects)
  }

  private mutating func delivered(_ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    guard let delivery = Delivery(message), let (number, generation) = numbers(of: delivery.consumer),
      isReader(number, generation)
    else { return }
    let limit = options.maxMessagesPerRoom
    let step = rooms[number]!.reader.take(delivery.post, number: delivery.number, limit: limit, now: now)
    if step == .taken, let room = rooms[number] {
      if let id = delivery.id, let message = outbox.settle(id: id) { settled(message, &effects) }
      if room.reader.isOpened, let sink = room.sink { effects.placed(delivery.post, number, sink) }
    }
    progress(number, step, delivery.pending, now, &effects)
  }

  private mutating func progress(
    _ number: Int, _ step: RoomReader.Step?, _ pending: Int?, _ now: Instant, _ effects: inout Effects
  ) {
    switch step {
    case .hole: restart(number, at: now, &effects)
    case .taken: if rooms[number]?.reader.catchUp(pending: pending, now: now) == true { caughtUp.insert(number) }
    case nil: break
    }
  }

  /// Opens rooms that have been read, when other servers have had time to tell who is there.
  private mutating func openRooms(_ now: Instant, _ effects: inout Effects) {
    neighbourhood.ask(now, &effects)
    for number in caughtUp where rooms[number]?.sink == nil || neighbourhood.hasAsked(number, now) {
      caughtUp.remove(number)
      openRoom(number, &effects)
    }
    effects.isToLookAgain = !caughtUp.isEmpty
  }

  private mutating func openRoom(_ number: Int, _ effects: inout Effects) {
    guard let room = rooms[number], room.reader.phase == .live, !room.reader.isOpened, let epoch else { return }
    let limit = options.maxMessagesPerRoom
    let posts = rooms[number]?.reader.open(limit: limit) ?? []
    guard let sink = room.sink else { return }
    effects.opened(Kept(epoch: epoch, last: room.reader.last, posts: posts), number, sink)
  }

  // MARK: Messages

  private mutating func acknowledged(_ number: Int, _ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    guard let room = outbox.messages[number]?.room else { return }
    switch Api.decode(message, as: PublishAck.self) {
    case .success(let ack):
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
    case .failure(let error):
      warn("a message is not stored yet: \(error.text)", now, &effects)
      outbox.hurry(number, to: now - EngineState.patience + .milliseconds(200))
    }
  }

  private mutating func settled(_ message: Outbox.Message, _ effects: inout Effects) {
    effects.settled.append((message.sender, message.post.bytes.count))
    rooms[message.room]?.waiting -= 1
    removeIfDone(message.room, &effects)
  }

  /// The broker does not take it, and never will.
  private mutating func drop(_ number: Int, _ effects: inout Effects) {
    if let message = outbox.settle(number) {
      effects.logs.append(
        (.error, "a message of \(message.post.bytes.count) bytes is larger than NATS takes (its max_payload)"))
      settled(message, &effects)
    }
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

  // MARK: Time

  /// Several times a second.
  mutating func tick(_ now: Instant, _ effects: inout Effects) {
    switch phase {
    case .disconnected(let since): if now - since > .seconds(2) { warn("NATS cannot be reached", now, &effects) }
    case .asking(let since): if now - since > .seconds(1) { lookForStream(now, &effects) }
    case .ready:
      for (number, room) in rooms where room.reader.isLost(now: now) { restart(number, at: now, &effects) }
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
    for room in rooms.values {
      if let sink = room.sink { effects.calls.append(.available(sink, isAvailable)) }
    }
  }
}

internal import Confab
internal import ConfabChat
internal import DequeModule

// Each room has its own consumer. After an error the consumer is recreated at the room's position.
extension JetStreamState {
  /// Recreates the consumer of a room at its position.
  mutating func restart(_ number: Int, at instant: Instant, _ effects: inout Effects) {
    guard let room = rooms[number] else { return }
    deleteConsumer(number, room.reader.generation, &effects)
    rooms[number]?.reader.restart(at: instant)
    requested.remove(number)
    opening.append(number)
  }

  /// Ignores all consumers until the stream has been found.
  mutating func suspendReaders(_ now: Instant) {
    for number in rooms.keys { rooms[number]?.reader.suspend(at: now) }
  }

  func deleteConsumer(_ number: Int, _ generation: Int, _ effects: inout Effects) {
    effects.actions.append(.unsubscribe(delivery(number, generation)))
    guard phase == .ready else { return }
    effects.publish(
      "$JS.API.CONSUMER.DELETE.\(options.stream).\(consumer(number, generation))", reply: "\(inbox).deleted")
  }

  /// Returns the subject to which a consumer delivers. Each consumer has its own subscription, because a consumer
  /// delivers only while its exact subject has a subscription.
  func delivery(_ number: Int, _ generation: Int) -> String { "\(inbox)-read.read.\(number).\(generation)" }

  func consumer(_ number: Int, _ generation: Int) -> String { "\(instance)-\(number)-\(generation)" }

  func numbers(of consumer: Substring) -> (Int, Int)? {
    let parts = consumer.parts(separatedBy: "-").dropFirst().compactMap { Int($0) }
    return parts.count == 2 ? (parts[0], parts[1]) : nil
  }

  mutating func makeReaders(_ now: Instant, _ effects: inout Effects) {
    guard phase == .ready else { return }
    var later: [Int] = []
    while requested.count < JetStreamState.maxOpening, let number = opening.popFirst() {
      guard let room = rooms[number], case .waiting(let instant) = room.reader.phase else { continue }
      guard instant <= now else {
        later.append(number)
        continue
      }
      rooms[number]?.reader.request(now: now)
      requested.insert(number)
      let name = consumer(number, room.reader.generation)
      let delivery = delivery(number, room.reader.generation)
      effects.actions.append(.subscribe(delivery))
      let request = ConsumerRequest(
        stream_name: options.stream,
        config: .init(
          name: name, deliver_subject: delivery,
          deliver_policy: room.reader.start == nil ? "all" : "by_start_sequence", opt_start_seq: room.reader.start,
          filter_subject: room.subject))
      effects.publish(
        "$JS.API.CONSUMER.CREATE.\(options.stream).\(name).\(room.subject)",
        reply: "\(inbox).made.\(number).\(room.reader.generation)", bytes: Api.encode(request))
    }
    opening.append(contentsOf: later)
  }

  mutating func made(_ number: Int, _ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    requested.remove(number)
    switch Api.decode(message, as: ConsumerInfo.self) {
    case .success(let info):
      guard let generation = rooms[number]?.reader.generation else { return }
      let step = rooms[number]?.reader.made(info, now: now)
      if step == .taken { receiveHeld(number, now, &effects) }
      if isReader(number, generation) { progress(number, step, nil, now, &effects) }
    case .failure(let error) where error.err_code == ApiError.streamNotFound: lookForStream(now, &effects)
    case .failure(let error):
      warn("cannot read a room: \(error.text)", now, &effects)
      restart(number, at: now + .seconds(1), &effects)
    }
  }

  /// Handles a consumer's message without a payload: an idle heartbeat, or a flow-control request.
  mutating func heartbeat(_ number: Int, _ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    // Flow-control requests are answered after all earlier messages are handled, because the server sends only a
    // limited amount in advance.
    let stalled = message.headers["Nats-Consumer-Stalled"]
    if let reply = message.reply.isEmpty ? stalled : message.reply { effects.publish(reply) }
    guard message.reply.isEmpty, let sent = message.headers["Nats-Last-Consumer"].flatMap({ Int($0) }) else { return }
    let upTo = message.headers["Nats-Last-Stream"].flatMap { Int($0) } ?? 0
    progress(number, rooms[number]?.reader.beat(sent, upTo: upTo, now: now), nil, now, &effects)
  }

  mutating func delivered(_ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    guard let delivery = Delivery(message), let (number, generation) = numbers(of: delivery.consumer),
      isReader(number, generation)
    else { return }
    let limit = options.maxMessagesPerRoom
    let step = rooms[number]!.reader.take(delivery, limit: limit, roomLimit: roomLimit, now: now)
    if step == .joined { return receiveHeld(number, now, &effects) }
    received(number, delivery, step, now, &effects)
  }

  /// Handles the messages that were held.
  private mutating func receiveHeld(_ number: Int, _ now: Instant, _ effects: inout Effects) {
    guard let generation = rooms[number]?.reader.generation else { return }
    for delivery in rooms[number]?.reader.release() ?? [] where isReader(number, generation) {
      let step = rooms[number]!.reader.accept(delivery, limit: options.maxMessagesPerRoom, roomLimit: roomLimit)
      if step == .joined { return receiveHeld(number, now, &effects) }
      received(number, delivery, step, now, &effects)
    }
  }

  private mutating func received(
    _ number: Int, _ delivery: Delivery, _ step: RoomReader.Step, _ now: Instant, _ effects: inout Effects
  ) {
    if step == .taken || step == .known, let room = rooms[number] {
      if let id = delivery.id, let message = publishQueue.settle(id: id) { settled(message, &effects) }
      if step == .taken, room.reader.isOpened, let delegate = room.delegate {
        erase(number)
        effects.published(delivery.publication, number, delegate)
      }
    }
    progress(number, step, delivery.pending, now, &effects)
  }

  mutating func progress(
    _ number: Int, _ step: RoomReader.Step?, _ pending: Int?, _ now: Instant, _ effects: inout Effects
  ) {
    switch step {
    case .gap: restart(number, at: now, &effects)
    case .missed:
      warn(
        "messages have been deleted from the stream before they were read: clients of the room are closed", now,
        &effects)
      restart(number, at: now, &effects)
    case .renumbered:
      renumber(now, &effects)
    case .held, .joined: break
    case .taken, .known: if rooms[number]?.reader.catchUp(pending: pending, now: now) == true { wasRead(number) }
    case nil: break
    }
  }

  private mutating func erase(_ number: Int) {
    guard let offsets = rooms[number]?.reader.takeErased(), let subject = rooms[number]?.subject else { return }
    erasures.add(offsets, subject: subject)
  }

  /// Handles that a room has been read completely. The consumer may not have been confirmed yet, because the
  /// confirmation can get lost.
  private mutating func wasRead(_ number: Int) {
    requested.remove(number)
    caughtUp.insert(number)
    publishQueue.wake(room: number)
  }

  /// Opens rooms that have been read, after other servers have had time to report their members.
  mutating func openRooms(_ now: Instant, _ effects: inout Effects) {
    presenceExchange.requestReports(now, &effects)
    // A restricted client must not enter before its restriction is known.
    guard exchange.isKnown else { return }
    for number in caughtUp.sorted() where rooms[number]?.delegate == nil || presenceExchange.hasRequested(number, now) {
      caughtUp.remove(number)
      openRoom(number, &effects)
    }
    effects.needsAnotherRun = !caughtUp.isEmpty
  }

  mutating func openRoom(_ number: Int, _ effects: inout Effects) {
    guard let room = rooms[number], room.reader.phase == .live, !room.reader.isOpened, let epoch else { return }
    let limit = options.maxMessagesPerRoom
    let publications = rooms[number]?.reader.open(limit: limit) ?? []
    guard let delegate = room.delegate else { return }
    erase(number)
    effects.opened(
      RoomSnapshot(epoch: epoch, lastOffset: room.reader.lastOffset, publications: publications), number, delegate)
  }
}

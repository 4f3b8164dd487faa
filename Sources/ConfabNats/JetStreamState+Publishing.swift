internal import Confab
internal import ConfabChat
internal import Logging

// Messages are sent to the stream until they are acknowledged or rejected. Rooms get them, with their offsets, when the
// stream delivers them: see Delivery.swift.
extension JetStreamState {
  mutating func acknowledged(_ number: Int, _ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    guard let room = publishQueue.messages[number]?.room else { return }
    switch Api.decode(message, as: PublishAck.self) {
    case .success(let ack) where ack.seq > 0:
      rooms[room]?.reader.know(ack.seq, now: now)
      guard let message = publishQueue.settle(number) else { return }
      if ack.duplicate == true, let open = rooms[room], open.reader.isOpened, open.reader.lastOffset >= ack.seq,
        let delegate = open.delegate
      {
        // The room already had the message, and may have dropped it.
        effects.published(
          Publication(message.draft, at: Position(offset: ack.seq, time: WallClock.milliseconds)), room, delegate)
      }
      settled(message, &effects)
      isStalled = false
    case .success: retryUnstored(number, "the broker has not confirmed it", now, &effects)
    case .failure(let error): retryUnstored(number, error.text, now, &effects)
    }
  }

  /// Sends the message again soon. A leader without a quorum acknowledges with the sequence number 0, even if it has
  /// the message itself. Such a message may be stored later.
  private mutating func retryUnstored(_ number: Int, _ reason: String, _ now: Instant, _ effects: inout Effects) {
    warn("a message is not stored yet: \(reason)", now, &effects)
    publishQueue.setSendTime(number, to: now - JetStreamState.acknowledgementTimeout + .milliseconds(200))
  }

  mutating func settled(_ message: PendingDraft, _ effects: inout Effects) {
    effects.settled.append((message.quota, message.draft.bytes.count))
    rooms[message.room]?.waiting -= 1
    removeIfDone(message.room, &effects)
  }

  /// Drops a message that the broker rejects permanently.
  mutating func drop(_ number: Int, _ effects: inout Effects) {
    guard let message = publishQueue.settle(number) else { return }
    effects.logs.append(
      (.error, "a message of \(message.draft.bytes.count) bytes is larger than NATS accepts (its max_payload)"))
    if let delegate = rooms[message.room]?.delegate { effects.calls.append(.rejected(delegate, [message.draft])) }
    settled(message, &effects)
  }

  /// Sends the messages that are due.
  mutating func send(_ now: Instant, _ effects: inout Effects) {
    guard phase == .ready else { return }
    sendErasures(now, &effects)
    makeReaders(now, &effects)
    openRooms(now, &effects)
    // Messages are sent only after the room has been read, so that messages that are already stored are known.
    let rooms = rooms
    for (number, message) in publishQueue.take(now: now, isOpen: { rooms[$0]?.reader.phase == .live }) {
      effects.publish(
        message.subject, reply: "\(inbox).ack.\(number)", headers: message.draft.headers(id: message.id),
        bytes: message.draft.bytes, number: number)
    }
  }
}

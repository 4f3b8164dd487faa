internal import Confab
internal import ConfabChat
internal import Logging

// The stream of the restrictions is read anew after each connection, after a gap, and while it has a message that
// cannot be read.

extension JetStreamState {
  private var stream: String { options.restrictionStream }

  /// Schedules that all restrictions are read again.
  mutating func restartRestrictions(at instant: Instant, _ effects: inout Effects) {
    guard exchange.delegate != nil else { return }
    if exchange.generation > 0 {
      effects.actions.append(.unsubscribe(restrictionDelivery))
      if isConnected {
        effects.publish("$JS.API.CONSUMER.DELETE.\(stream).\(restrictionConsumer)", reply: "\(inbox).deleted")
      }
    }
    exchange.phase = .waiting(instant)
  }

  mutating func requestRestrictionStream(_ now: Instant, _ effects: inout Effects) {
    exchange.phase = .asking(now)
    effects.publish("$JS.API.STREAM.INFO.\(stream)", reply: "\(inbox).restrictionStream")
  }

  mutating func restrictionStreamFound(_ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    guard case .asking = exchange.phase else { return }
    let config = StreamConfig(restrictionsOf: options)
    switch Api.decode(message, as: StreamInfo.self) {
    case .success(let info):
      if let flaw = config.flaw(ofRestrictions: info.config) {
        warn("the stream \(stream) cannot be used: \(flaw)", now, &effects)
      } else {
        makeRestrictionConsumer(info, now, &effects)
      }
    case .failure(let error) where error.err_code == ApiError.streamNotFound:
      effects.publish(
        "$JS.API.STREAM.CREATE.\(stream)", reply: "\(inbox).restrictionStream", bytes: Api.encode(config))
    case .failure(let error): warn("the stream \(stream) is unavailable: \(error.text)", now, &effects)
    }
  }

  private mutating func makeRestrictionConsumer(_ info: StreamInfo, _ now: Instant, _ effects: inout Effects) {
    if let created = exchange.created, created != info.created { exchange.isReplaced = true }
    exchange.created = info.created
    exchange.generation += 1
    (exchange.count, exchange.replayed, exchange.unreadable) = (0, [:], [])
    (exchange.end, exchange.position) = (info.state.last_seq, 0)
    (exchange.phase, exchange.receivedAt) = (.requested(now), now)
    effects.actions.append(.subscribe(restrictionDelivery))
    let request = ConsumerRequest(
      stream_name: stream,
      config: .init(
        name: restrictionConsumer, deliver_subject: restrictionDelivery, deliver_policy: "last_per_subject",
        opt_start_seq: nil,
        filter_subject: options.restrictionPrefix + "*"))
    effects.publish(
      "$JS.API.CONSUMER.CREATE.\(stream).\(restrictionConsumer).\(options.restrictionPrefix)*",
      reply: "\(inbox).restrictionConsumer.\(exchange.generation)", bytes: Api.encode(request))
  }

  mutating func restrictionConsumerMade(_ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    switch Api.decode(message, as: ConsumerInfo.self) {
    case .success(let info):
      exchange.receivedAt = now
      if case .requested = exchange.phase { exchange.phase = .replaying }
      exchange.position = max(exchange.position, info.delivered.stream_seq)
      if info.num_pending <= 0, info.delivered.consumer_seq <= exchange.count { consumerCaughtUp(now, &effects) }
    case .failure(let error):
      warn("cannot read the mutes and bans: \(error.text)", now, &effects)
      restartRestrictions(at: now + .seconds(1), &effects)
    }
  }

  /// Handles a message of the consumer without a payload: an idle heartbeat, or a flow-control request.
  mutating func restrictionHeartbeat(_ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    exchange.receivedAt = now
    let stalled = message.headers["Nats-Consumer-Stalled"]
    if let reply = message.reply.isEmpty ? stalled : message.reply { effects.publish(reply) }
    guard exchange.isReading, message.reply.isEmpty,
      let sent = message.headers["Nats-Last-Consumer"].flatMap({ Int($0) })
    else { return }
    guard sent == exchange.count else { return restartRestrictions(at: now, &effects) }
    exchange.position = max(exchange.position, message.headers["Nats-Last-Stream"].flatMap { Int($0) } ?? 0)
    // Messages that are still missing have been deleted.
    if stalled == nil { consumerCaughtUp(now, &effects) }
  }

  /// Handles a message if it is from the stream of restrictions. Returns whether it is.
  mutating func receivedRestriction(_ message: NatsMessage, _ now: Instant, _ effects: inout Effects) -> Bool {
    guard message.subject.begins(with: options.restrictionPrefix) else { return false }
    guard let delivery = Delivery(message), delivery.consumer.isSame(as: restrictionConsumer) else { return true }
    guard exchange.isReading else { return true }
    guard delivery.number == exchange.count + 1 else {
      restartRestrictions(at: now, &effects)
      return true
    }
    (exchange.count, exchange.receivedAt) = (delivery.number, now)
    if case .requested = exchange.phase { exchange.phase = .replaying }
    let id = String(decoding: message.subject.utf8.dropFirst(options.restrictionPrefix.utf8.count), as: UTF8.self)
    exchange.position = delivery.publication.position.offset
    take(id, message.bytes, delivery, now, &effects)
    if delivery.pending == 0 { consumerCaughtUp(now, &effects) }
    return true
  }

  private mutating func take(
    _ id: String, _ bytes: [UInt8], _ delivery: Delivery, _ now: Instant, _ effects: inout Effects
  ) {
    let offset = delivery.publication.position.offset
    let restriction = bytes.isEmpty ? nil : Restriction(json: bytes)
    let isReadable = bytes.isEmpty || restriction.map { $0.id.isSame(as: id) } ?? false
    guard isReadable else {
      exchange.unreadable.insert(id)
      effects.logs.append(
        (
          .error,
          """
          message \(offset) of the stream \(stream) is not a mute or ban that can be read: no room opens until it is \
          deleted (nats stream rmm \(stream) \(offset))
          """
        ))
      // The earlier restriction still applies.
      if exchange.phase == .replaying, let known = exchange.stored[id] { exchange.replayed[id] = known }
      if exchange.phase == .live { restartRestrictions(at: now + RestrictionExchange.retryInterval, &effects) }
      return
    }
    let stored = RestrictionExchange.Stored(offset: offset, restriction: restriction, readAt: now)
    if exchange.phase == .replaying {
      if offset >= exchange.replayed[id]?.offset ?? 0 { exchange.replayed[id] = stored }
      return
    }
    // This server's own change may have been acknowledged before.
    guard offset >= exchange.stored[id]?.offset ?? 0 else { return }
    exchange.stored[id] = stored
    if let pending = exchange.pending[id] {
      // A pending change of this server takes precedence. It is this message, or follows in the stream.
      if delivery.id?.isSame(as: changeID(pending.number)) ?? false { settle(id, isStored: true, &effects) }
    } else if let delegate = exchange.delegate {
      effects.calls.append(.restriction(delegate, restriction.map { .set($0) } ?? .lift(id: id)))
    }
  }

  /// Handles that the consumer has delivered all messages of its replica.
  private mutating func consumerCaughtUp(_ now: Instant, _ effects: inout Effects) {
    guard exchange.phase == .replaying, exchange.position >= exchange.end else { return }
    let lost = exchange.isReplaced ? exchange.stored.filter { exchange.replayed[$0.key] == nil } : [:]
    (exchange.stored, exchange.replayed, exchange.isReplaced) = (exchange.replayed, [:], false)
    // Another stream has replaced the lost stream. The restrictions that it does not have are stored again.
    for restriction in lost.sorted(by: { $0.key < $1.key }).compactMap(\.value.restriction)
    where exchange.pending[restriction.id] == nil { add(.set(restriction)) }
    if let delegate = exchange.delegate { effects.calls.append(.restrictions(delegate, exchange.restrictions)) }
    exchange.phase = .live
    if !exchange.unreadable.isEmpty {
      restartRestrictions(at: now + RestrictionExchange.retryInterval, &effects)
    }
  }
}

internal import Confab
internal import ConfabChat

// Changes of the restrictions that this server makes.

extension JetStreamState {
  var restrictionConsumer: String { "\(instance)-r-\(exchange.generation)" }
  var restrictionDelivery: String { "\(inbox)-read.restrictions.\(exchange.generation)" }

  // MARK: Changes of this server

  mutating func openRestrictions(_ delegate: any RestrictionDelegate, _ now: Instant) {
    exchange.delegate = delegate
    exchange.phase = .waiting(now)
  }

  /// Sends a change until the stream has confirmed it.
  mutating func store(
    _ change: RestrictionChange, _ done: @escaping @Sendable (Bool) -> Void, _ effects: inout Effects
  ) {
    guard exchange.pending.count < RestrictionExchange.maxPending || exchange.pending[change.id] != nil else {
      effects.stored.append((done, false))
      return
    }
    exchange.lastNumber += 1
    let earlier = exchange.pending[change.id]?.done ?? []
    exchange.pending[change.id] = .init(change: change, number: exchange.lastNumber, done: earlier + [done])
  }

  mutating func settle(_ id: String, isStored: Bool, _ effects: inout Effects) {
    for done in exchange.pending.removeValue(forKey: id)?.done ?? [] { effects.stored.append((done, isStored)) }
  }

  /// Sends the requests and changes that are due.
  mutating func sendRestrictions(_ now: Instant, _ effects: inout Effects) {
    guard exchange.delegate != nil, isConnected else { return }
    switch exchange.phase {
    case .waiting(let instant): if instant <= now { requestRestrictionStream(now, &effects) }
    case .requested(let instant):
      if now - instant > RestrictionExchange.timeout { restartRestrictions(at: now, &effects) }
    case .replaying, .live:
      if now - exchange.receivedAt > RoomReader.consumerTimeout { restartRestrictions(at: now, &effects) }
    }
    guard exchange.created != nil else { return }
    for (id, change) in exchange.pending
    where change.sentAt.map({ now - $0 > RestrictionExchange.timeout }) ?? true {
      exchange.pending[id]?.sentAt = now
      var bytes: [UInt8] = []
      if case .set(let restriction) = change.change { bytes = restriction.json }
      effects.publish(options.restrictionPrefix + id, reply: "\(inbox).restricted.\(change.number)", bytes: bytes)
    }
    sweepRestrictions(now, &effects)
  }

  /// Handles the confirmation of a change.
  mutating func restricted(_ number: Int, _ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    guard let id = exchange.pending.first(where: { $0.value.number == number })?.key else { return }
    switch Api.decode(message, as: PublishAck.self) {
    case .success(let ack) where ack.seq > 0: settle(id, isStored: true, &effects)
    case .success: warn("a mute or ban is not stored yet: the broker has not confirmed it", now, &effects)
    case .failure(let error): warn("a mute or ban is not stored yet: \(error.text)", now, &effects)
    }
  }

  /// Deletes restrictions that have ended from the stream. Every server does this, because any server may stop.
  private mutating func sweepRestrictions(_ now: Instant, _ effects: inout Effects) {
    guard exchange.phase == .live, now - exchange.sweptAt > RestrictionExchange.sweepInterval else { return }
    exchange.sweptAt = now
    let time = WallClock.milliseconds
    for (id, stored) in exchange.stored {
      let hasEnded =
        stored.restriction.map { $0.until.map { $0 <= time } ?? false }
        ?? (now - stored.readAt > RestrictionExchange.sweepInterval)
      guard hasEnded else { continue }
      exchange.stored[id] = nil
      effects.publish(
        "$JS.API.STREAM.MSG.DELETE.\(options.restrictionStream)", reply: "\(inbox).deleted",
        bytes: Api.encode(EntryRequest(seq: stored.offset)))
    }
  }
}

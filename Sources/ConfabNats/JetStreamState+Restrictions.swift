internal import Confab
internal import ConfabChat

// Changes of the restrictions that this server makes.

extension JetStreamState {
  var restrictionConsumer: String { "\(instance)-r-\(exchange.generation)" }
  var restrictionDelivery: String { "\(inbox)-read.restrictions.\(exchange.generation)" }

  // MARK: Changes of this server

  mutating func openRestrictions(_ delegate: any RestrictionDelegate) {
    exchange.delegate = delegate
  }

  /// Sends a change until the stream has confirmed it.
  mutating func store(
    _ change: RestrictionChange, _ done: @escaping @Sendable (Bool) -> Void, _ effects: inout Effects
  ) {
    guard exchange.doneCount < RestrictionExchange.maxPending else {
      effects.stored.append((done, false))
      return
    }
    exchange.doneCount += 1
    add(change, (exchange.pending[change.id]?.done ?? []) + [done])
  }

  mutating func add(_ change: RestrictionChange, _ done: [@Sendable (Bool) -> Void] = []) {
    exchange.lastNumber += 1
    exchange.pending[change.id] = .init(change: change, number: exchange.lastNumber, done: done)
  }

  /// The `Nats-Msg-Id` of a change. The stream accepts each one once in 2 minutes, so that a change that is sent again
  /// does not replace a later change of another server.
  func changeID(_ number: Int) -> String { "\(instance) \(number)" }

  mutating func settle(_ id: String, isStored: Bool, _ effects: inout Effects) {
    guard let pending = exchange.pending.removeValue(forKey: id) else { return }
    exchange.doneCount -= pending.done.count
    for done in pending.done { effects.stored.append((done, isStored)) }
  }

  /// Gives up the pending changes, because the server stops.
  mutating func endRestrictions(_ effects: inout Effects) {
    exchange.delegate = nil
    for id in exchange.pending.keys.sorted() { settle(id, isStored: false, &effects) }
  }

  /// Sends the requests and changes that are due.
  ///
  /// - Parameter time: milliseconds since 1970.
  mutating func sendRestrictions(
    _ now: Instant, time: Int64 = WallClock.milliseconds, _ effects: inout Effects
  ) {
    guard exchange.delegate != nil, isConnected else { return }
    switch exchange.phase {
    case .waiting(let instant): if instant <= now { requestRestrictionStream(now, &effects) }
    case .asking(let instant), .requested(let instant):
      if now - instant > RestrictionExchange.timeout { restartRestrictions(at: now, &effects) }
    case .replaying, .live:
      if now - exchange.receivedAt > RoomReader.consumerTimeout { restartRestrictions(at: now, &effects) }
    }
    guard exchange.created != nil else { return }
    let due = exchange.pending.filter { $0.value.sentAt.map { now - $0 > RestrictionExchange.timeout } ?? true }
    for (id, change) in due.sorted(by: { $0.value.number < $1.value.number }) {
      exchange.pending[id]?.sentAt = now
      var bytes: [UInt8] = []
      if case .set(let restriction) = change.change { bytes = restriction.json }
      effects.publish(
        options.restrictionPrefix + id, reply: "\(inbox).restricted.\(change.number)",
        headers: [(Delivery.idHeader, changeID(change.number))], bytes: bytes)
    }
    sweepRestrictions(now, time, &effects)
  }

  /// Handles the confirmation of a change.
  mutating func restricted(_ number: Int, _ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    guard let (id, pending) = exchange.pending.first(where: { $0.value.number == number }) else { return }
    switch Api.decode(message, as: PublishAck.self) {
    case .success(let ack) where ack.seq > 0:
      let isRepeated = ack.duplicate == true
      let isReplaced = exchange.phase == .live && ack.seq < exchange.stored[id]?.offset ?? 0
      if !isRepeated {
        exchange.keep(.init(offset: ack.seq, restriction: pending.change.restriction, readAt: now), id)
      }
      settle(id, isStored: true, &effects)
      // Another server may have replaced the change before the acknowledgement arrived.
      if isRepeated && exchange.isReading || isReplaced { restartRestrictions(at: now, &effects) }
    case .success: warn("a mute or ban is not stored yet: the broker has not confirmed it", now, &effects)
    case .failure(let error): warn("a mute or ban is not stored yet: \(error.text)", now, &effects)
    }
  }

  /// Deletes restrictions that have ended from the stream. Every server does this, because any server may stop. The
  /// newest message stays, so that a server that reads the stream notices whether it has all messages.
  private mutating func sweepRestrictions(_ now: Instant, _ time: Int64, _ effects: inout Effects) {
    guard exchange.phase == .live, now - exchange.sweptAt > RestrictionExchange.sweepInterval else { return }
    exchange.sweptAt = now
    let newest = exchange.stored.values.map(\.offset).max()
    let ended = exchange.stored.values.filter { stored in
      stored.offset != newest
        && (stored.restriction.map { $0.until.map { $0 <= time } ?? false }
          ?? (now - stored.readAt > RestrictionExchange.sweepInterval))
    }
    for offset in ended.map(\.offset).sorted() {
      effects.publish(
        "$JS.API.STREAM.MSG.DELETE.\(options.restrictionStream)", reply: "\(inbox).swept.\(offset)",
        bytes: Api.encode(EntryRequest(seq: offset)))
    }
  }

  /// Handles the response to a deletion. A deletion that is not confirmed is repeated.
  mutating func restrictionSwept(_ offset: Int, _ message: NatsMessage) {
    switch Api.decode(message, as: DeleteResponse.self) {
    case .success: break
    case .failure(let error): if !error.isNotFound { return }
    }
    guard exchange.phase == .live else { return }
    if let id = exchange.stored.first(where: { $0.value.offset == offset })?.key { exchange.stored[id] = nil }
  }
}

extension RestrictionChange {
  /// Nil if it lifts a restriction.
  fileprivate var restriction: Restriction? { if case .set(let restriction) = self { restriction } else { nil } }
}

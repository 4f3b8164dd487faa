@testable import ConfabChat
@testable import ConfabNats

// Random kicks, mutes and bans.

extension World {
  /// The time of day: milliseconds since 1970.
  var milliseconds: Int64 { 1_800_000_000_000 + Int64(timeline.now.nanoseconds / 1_000_000) }

  /// Returns one of few restrictions, so that changes of several servers collide. Some of them are equal.
  func restriction() -> Restriction {
    let kind = Restriction.Kind.allCases.randomElement(using: &chance)!
    let user = ["ann", "bob"].randomElement(using: &chance)!
    let end = chance.hits(0.4) && kind != .kick ? nil : milliseconds + Int64.random(in: 1000...40_000, using: &chance)
    let reason = ["noise", "spam"].randomElement(using: &chance)!
    return Restriction(
      kind, .user(user), in: "/tea", until: end, reason: reason, name: nil, by: "Eve", isByModerator: true)
  }

  /// Lets servers change restrictions, from time to time several times at once.
  func moderate() {
    guard isTroubled, let moderator = servers.randomElement(using: &chance)?.moderator else { return }
    for _ in 0..<(chance.hits(0.2) ? 4 : 1) { moderator.moderate() }
    if chance.hits(0.1), let change = moderator.changes.last?.change {
      // A ban that is lifted and made again at once.
      moderator.submit(.lift(id: change.id))
      moderator.submit(change)
    }
    if faults.contains(.errors), chance.hits(0.01) { broker.restrictions?.meddle(restriction().id) }
    timeline.schedule(after: chance.time(0...1.5)) { [self] in moderate() }
  }

  /// Deletes what other programs have stored.
  func tidyRestrictions() {
    guard let restrictions = broker.restrictions else { return }
    for id in restrictions.ids {
      if let newest = restrictions.newest(id), !newest.bytes.isEmpty, Restriction(json: newest.bytes) == nil {
        restrictions.meddle(id)
      }
    }
  }

  /// Checks the restrictions after a while without faults, and again after they have been swept.
  func checkRestrictions() {
    guard let restrictions = broker.restrictions else { return }
    checkRestrictions(restrictions)
    timeline.run(until: trouble + .seconds(160)) { failure == nil }
    if failure == nil { checkSweep(restrictions) }
  }

  private func checkRestrictions(_ restrictions: SimulatedRestrictions) {
    for server in servers { server.moderator?.checkRest() }
    require(
      restrictions.consumerCount == servers.count,
      "there are \(restrictions.consumerCount) consumers of restrictions for \(servers.count) servers")
    for server in servers {
      let count = server.link.subscriptionCount
      require(count == 2 * server.rooms.count + 1, "\(server.name) has \(count) subscriptions")
    }
  }

  /// Checks that ended restrictions, and marks of lifted ones, have been deleted from the stream, and that servers end.
  private func checkSweep(_ restrictions: SimulatedRestrictions) {
    for id in restrictions.ids {
      guard let newest = restrictions.newest(id), newest.number < restrictions.newestNumber else { continue }
      let isActive = Restriction(json: newest.bytes).map { $0.isActive(at: milliseconds) } ?? false
      require(isActive, "restriction \(newest.number) is still in the stream after its end")
    }
    for server in servers {
      let ended = server.state.exchange.stored.filter {
        !($0.value.restriction?.isActive(at: milliseconds) ?? false) && $0.value.offset < restrictions.newestNumber
      }
      require(ended.isEmpty, "\(server.name) keeps \(ended.count) restrictions after their end")
    }
    for server in servers { server.moderator?.checkEnd() }
  }
}

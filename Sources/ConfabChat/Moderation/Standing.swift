internal import Confab

/// The restrictions of one client in its room. Loop thread only.
final class Standing {
  let moderation: Moderation
  /// Nil if the client has no address.
  let address: AddressRange?
  /// Nil before the welcome, and for clients of the plain protocol.
  var guest: GuestID?
  /// Version of the restrictions in which ``isMuted`` was looked up.
  private var version = -1
  private var isMuted = false
  /// The mute that the client has been informed of; an array, because it is rare and large.
  fileprivate var reported: [Restriction] = []

  init(_ moderation: Moderation, at address: AddressRange?) { (self.moderation, self.address) = (moderation, address) }

  /// Looks the restrictions up again, because the client's rights have changed.
  func forget() { version = -1 }

  fileprivate func mute(of client: @autoclosure () -> ModeratedClient, in room: String) -> Restriction? {
    let version = moderation.version
    // A mute may have ended.
    if version == self.version && !isMuted { return nil }
    let mute = moderation.mute(of: client(), in: room)
    (self.version, isMuted) = (version, mute != nil)
    return mute
  }
}

extension ChatConnection {
  private var moderated: ModeratedClient { ModeratedClient(client, standing.guest, at: standing.address) }

  /// The mute of the client; nil if it may speak.
  var mute: Restriction? { standing.mute(of: moderated, in: room.name) }

  /// Handles that restrictions have changed. `new` is the one that was made, if any.
  func restrictionsChanged(_ changed: [Restriction], _ new: Restriction?, _ connection: Connection) {
    let client = moderated
    guard changed.contains(where: { $0.applies(to: client, in: room.name) }) else { return }
    if let new, new.kind != .mute, new.isActive(at: WallClock.milliseconds), new.applies(to: client, in: room.name) {
      return expel(new, connection)
    }
    reportMute(connection)
  }

  /// Applies restrictions that were made while the client joined, when it was not among the room's connections yet.
  func checkAfterJoining(_ connection: Connection) {
    if standing.moderation.isEmpty { return }
    let kick = standing.guest.flatMap { standing.moderation.kick(of: $0, in: room.name) }
    if let expulsion = standing.moderation.ban(of: moderated, in: room.name) ?? kick {
      return expel(expulsion, connection)
    }
    reportMute(connection)
  }

  /// Informs the client if it is muted, or is not muted any more.
  func reportMute(_ connection: Connection) {
    let mute = mute
    let report = mute.map { [$0] } ?? []
    guard report != standing.reported else { return }
    standing.reported = report
    inform(mute.map { MutedEvent(mute: $0) } ?? UnmutedEvent(), connection)
  }

  /// Closes a client that is kicked or banned.
  private func expel(_ restriction: Restriction, _ connection: Connection) {
    let what = restriction.kind == .kick ? "kicked" : "banned"
    inform(ExpelledEvent(restriction: restriction), connection)
    connection.close(.notAdmitted, reason: restriction.reason.map { "\(what): \($0)" } ?? what)
    // It leaves the room now, even if it does not answer the close frame.
    closed(connection)
    connection.handlerState = nil
    if restriction.kind == .kick, let guest = standing.guest, restriction.target != .guest(guest, network: nil) {
      standing.moderation.void(guest, by: restriction)
    }
  }
}

/// The client is muted.
struct MutedEvent: ServerEvent {
  let mute: Restriction

  func write(to object: inout JSONWriter) {
    object.member("reason", mute.reason)
    object.member("type", "muted")
    object.member("until", mute.until.map { Int($0) })
  }
}

/// The client is not muted any more.
struct UnmutedEvent: ServerEvent {
  func write(to object: inout JSONWriter) { object.member("type", "unmuted") }
}

/// The client is kicked or banned, and will be closed.
struct ExpelledEvent: ServerEvent {
  let restriction: Restriction

  func write(to object: inout JSONWriter) {
    object.member("reason", restriction.reason)
    object.member("type", restriction.kind == .kick ? "kicked" : "banned")
    if restriction.kind == .ban { object.member("until", restriction.until.map { Int($0) }) }
  }
}

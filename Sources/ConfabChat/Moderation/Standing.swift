internal import Confab

/// The restrictions of one client in one of its rooms. Loop thread only.
final class Standing {
  let moderation: Moderation
  /// Nil if the client has no address.
  let address: AddressRange?
  private let room: String
  /// Nil before the welcome, and for clients of the plain protocol.
  var guest: GuestID? { didSet { forget() } }
  /// Version of the restrictions in which ``mute`` was looked up.
  private var version = -1
  /// The mute of the client, at most one. An empty array takes less memory than an optional.
  private var mute: [Restriction] = []
  /// The mute that the client has been informed of, at most one.
  private var reported: [Restriction] = []

  init(_ moderation: Moderation, at address: AddressRange?, in room: String) {
    (self.moderation, self.address, self.room) = (moderation, address, room)
  }

  /// Discards the result of the last look-up, because the client's rights have changed.
  func forget() { version = -1 }

  private func moderated(_ client: AdmittedClient?) -> ModeratedClient { ModeratedClient(client, guest, at: address) }

  /// Returns the mute of the client; nil if the client may send messages.
  func mute(of client: AdmittedClient?) -> Restriction? {
    let version = moderation.version
    if version == self.version && mute.allSatisfy({ $0.isActive(at: WallClock.milliseconds) }) { return mute.first }
    let found = moderation.mute(of: moderated(client), in: room)
    (self.version, mute) = (version, found.map { [$0] } ?? [])
    return found
  }

  /// Returns the ban or kick of the client; nil if the client may stay.
  func expulsion(of client: AdmittedClient?) -> Restriction? {
    moderation.ban(of: moderated(client), in: room) ?? guest.flatMap { moderation.kick(of: $0, in: room) }
  }

  func applies(_ restriction: Restriction, to client: AdmittedClient?) -> Bool {
    restriction.applies(to: moderated(client), in: room)
  }

  /// Returns an event about a new mute, or about the end of a mute. Returns nil if the client has been informed
  /// already.
  fileprivate func report(to client: AdmittedClient?) -> (any ServerEvent)? {
    let mute = mute(of: client)
    let report = mute.map { [$0] } ?? []
    guard report != reported else { return nil }
    reported = report
    return mute.map { MutedEvent(mute: $0) } ?? UnmutedEvent()
  }
}

extension ChatConnection {
  /// Handles a change of restrictions. `new` is the new restriction, if any.
  func restrictionsChanged(_ changed: [Restriction], _ new: Restriction?, in room: ChatRoom, _ connection: Connection) {
    guard let standing = standing(in: room), changed.contains(where: { standing.applies($0, to: client) }) else {
      return
    }
    if let new, new.kind != .mute, new.isActive(at: WallClock.milliseconds), standing.applies(new, to: client) {
      return expel(new, from: room, standing, connection)
    }
    reportMute(in: room, standing, connection)
  }

  /// Applies restrictions that were made before the client was one of the room's connections.
  func checkAfterJoining(_ room: ChatRoom, _ standing: Standing, _ connection: Connection) {
    if standing.moderation.isEmpty { return }
    if let expulsion = standing.expulsion(of: client) { return expel(expulsion, from: room, standing, connection) }
    reportMute(in: room, standing, connection)
  }

  private func reportMute(in room: ChatRoom, _ standing: Standing, _ connection: Connection) {
    if let event = standing.report(to: client) { inform(event, in: room, connection) }
  }

  /// Removes a client that is kicked or banned.
  private func expel(
    _ restriction: Restriction, from room: ChatRoom, _ standing: Standing, _ connection: Connection
  ) {
    inform(ExpelledEvent(restriction: restriction), in: room, connection)
    let what = restriction.kind == .kick ? "kicked" : "banned"
    end(in: room, reason: restriction.reason.map { "\(what): \($0)" } ?? what, connection)
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

/// The client is kicked or banned, and leaves the room.
struct ExpelledEvent: ServerEvent {
  let restriction: Restriction

  func write(to object: inout JSONWriter) {
    object.member("reason", restriction.reason)
    object.member("type", restriction.kind == .kick ? "kicked" : "banned")
    if restriction.kind == .ban { object.member("until", restriction.until.map { Int($0) }) }
  }
}

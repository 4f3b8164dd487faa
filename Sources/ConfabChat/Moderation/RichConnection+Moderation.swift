internal import Confab

// The events of moderators, and the restrictions of other clients.

extension RichConnection {
  /// Returns a hello without its session if that is void, and with the present name of the member if the client is
  /// muted.
  ///
  /// - Throws: an error that contains the ban, if the client is banned.
  func admitted(_ hello: ClientEvent.Hello, to room: ChatRoom) throws(ErrorEvent) -> ClientEvent.Hello {
    let moderation = standing.moderation
    if moderation.isEmpty { return hello }
    let session = hello.session.flatMap { Session($0, in: room.name) }
    let client = ModeratedClient(client, session?.guest, at: standing.address)
    if let ban = moderation.ban(of: client, in: room.name) {
      var error = ErrorEvent(.banned, "banned")
      error.restriction = ban
      throw error
    }
    var hello = hello
    if let session, moderation.kick(of: session.guest, in: room.name) != nil { hello.session = nil }
    if let session, moderation.mute(of: client, in: room.name) != nil,
      let present = room.find(.member(session.member))
    {
      hello.name = present.name.text
    }
    return hello
  }

  /// Returns whether the client is muted. If so, sends an error.
  func rejectsAsMuted(in membership: Membership, _ connection: Connection, tag: String? = nil) -> Bool {
    guard let mute = membership.standing.mute(of: client) else { return false }
    var error = ErrorEvent(.muted, "muted", tag: tag)
    error.restriction = mute
    sendError(error, connection)
    return true
  }

  // MARK: Moderators

  func moderate(_ event: ModeratorEvent, _ membership: Membership, _ connection: Connection) {
    guard client?.rights.contains(.moderate) ?? false else {
      return sendError(ErrorEvent(.forbidden, "moderating is not allowed"), connection)
    }
    guard let kind = event.action.kind else { return list(after: event.after, membership, connection) }
    do throws(ErrorEvent) {
      if event.action.lifts {
        try lift(kind, event, membership, connection)
      } else {
        try restrict(kind, event, membership, connection)
      }
    } catch {
      sendError(error, connection)
    }
  }

  private func list(after id: String?, _ membership: Membership, _ connection: Connection) {
    let all = standing.moderation.list(of: [membership.room.name])
    let rest = id.map { id in all.drop { $0.id <= id } } ?? all[...]
    let page = rest.prefix(RestrictionsEvent.maxCount)
    let json = RestrictionsEvent(restrictions: page, more: page.count < rest.count, ref: head.ref).json
    send(json[...], ofRoom: membership.room.name, connection)
    charge(response: json.count, connection)
  }

  private func found(_ subject: ModeratorEvent.Subject?, in room: ChatRoom) throws(ErrorEvent) -> FoundMember {
    let found: FoundMember? =
      switch subject {
      case .name(let name): Name(name, limit: Name.greatestLimit).flatMap { room.find(.name($0)) }
      case .member(let member): room.find(.member(member))
      case .restriction, nil: nil
      }
    guard let found else { throw ErrorEvent(.notFound, "no such member") }
    return found
  }

  private func restrict(
    _ kind: Restriction.Kind, _ event: ModeratorEvent, _ membership: Membership, _ connection: Connection
  ) throws(ErrorEvent) {
    let reason = try event.reason.flatMap { text throws(ErrorEvent) in try RichConnection.reason(text) }
    // The member is missing if another connection has replaced this one.
    let room = membership.room
    guard let moderator = room.find(.member(membership.member)) else { return }
    let found = try found(event.subject, in: room)
    guard !found.isModerator else { throw ErrorEvent(.forbidden, "the member is a moderator") }
    let longest = room.options.maxGuestRestriction
    var (target, limit) = (found.target, Duration?.none)
    if case .guest(let guest, let network) = target {
      // A kick by a client voids the session, and does not apply to the network.
      target = .guest(guest, network: kind == .kick || longest == .zero ? nil : network)
      if longest > .zero { limit = longest }
    }
    if kind == .kick { limit = Restriction.time(ofKick: target) }
    let until = event.until(now: WallClock.milliseconds, limit: limit)
    let restriction = Restriction(
      kind, target, in: room.name, until: until, reason: reason, name: found.name.text, by: moderator.name.text,
      isByModerator: true)
    try submit(.set(restriction), restriction, event.action, membership, connection)
  }

  private func lift(
    _ kind: Restriction.Kind, _ event: ModeratorEvent, _ membership: Membership, _ connection: Connection
  ) throws(ErrorEvent) {
    let room = membership.room
    var id = ""
    if case .restriction(let text) = event.subject {
      id = text
    } else {
      id = Restriction.id(kind, try found(event.subject, in: room).target, room.name)
    }
    guard let restriction = standing.moderation[id], restriction.kind == kind,
      restriction.room?.isSame(as: room.name) ?? false
    else { throw ErrorEvent(.notFound, "no such \(kind.rawValue)") }
    guard restriction.isByModerator else {
      throw ErrorEvent(.forbidden, "the \(kind.rawValue) is not of a moderator")
    }
    try submit(.lift(id: id), restriction, event.action, membership, connection)
  }

  /// Makes a change, and responds when it is stored.
  private func submit(
    _ change: RestrictionChange, _ restriction: Restriction, _ action: ModeratorEvent.Action, _ membership: Membership,
    _ connection: Connection
  ) throws(ErrorEvent) {
    let (room, loop) = (membership.room.name, connection.loop)
    do throws(ChatError) {
      try standing.moderation.submit(change) { [weak connection, head] error in
        loop.execute { [weak connection] in
          guard let connection, let state = connection.handlerState as? RichConnection else { return }
          guard let error else {
            let json = ModeratedEvent(action: action, restriction: restriction, ref: head.ref).json
            return state.send(json[...], ofRoom: room, connection)
          }
          state.sendError(ErrorEvent(.unavailable, error.message), about: head, connection)
        }
      }
    } catch {
      switch error.code {
      case .tooManyRestrictions: throw ErrorEvent(.tooManyRestrictions, "too many mutes and bans: lift some first")
      case .restrictionGone: throw ErrorEvent(.notFound, "lifted already, or ended")
      default: throw ErrorEvent(.forbidden, "the room's name is too long")
      }
    }
  }

  private static func reason(_ text: String) throws(ErrorEvent) -> String? {
    guard text.utf8.count <= Restriction.maxReasonLength else {
      throw ErrorEvent(.textTooLong, "reason too long: at most \(Restriction.maxReasonLength) bytes")
    }
    return Restriction.reason(text)
  }
}

extension Restriction {
  /// Returns a reason without control characters other than newlines and tabs; nil if it is blank.
  static func reason(_ text: String) -> String? { (try? Text(text, limit: maxReasonLength))?.text }

  /// Returns how long a kick is in effect.
  static func time(ofKick target: Target) -> Duration {
    if case .guest = target { Moderation.kickTime } else { Moderation.momentTime }
  }
}

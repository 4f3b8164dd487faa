internal import Confab

// The program's own restrictions. The engine stores them like those of moderators.

extension Chat {
  /// Closes clients with 4003, on all servers. Their sessions are void for 24 hours: if the clients come back, they are
  /// new members. Any thread.
  ///
  /// The kick takes effect on this server at once. The call returns when the engine has stored the kick for the other
  /// servers. The chat remembers the last 1,000 kicked sessions.
  ///
  /// - Parameters:
  ///   - target: the clients. The network of a guest is ignored.
  ///   - room: the path of the room; nil closes the clients in all rooms.
  ///   - reason: the reason, which the clients get: at most ``Restriction/maxReasonLength`` bytes of UTF-8.
  ///   - name: the name of the member or program that kicks them.
  public func kick(
    _ target: Restriction.Target, in room: String? = nil, reason: String? = nil, by name: String
  ) async throws(ChatError) {
    _ = try await restrict(.kick, target, in: room, until: nil, reason: reason, by: name)
  }

  /// Mutes clients on all servers: they can read, but cannot send or edit messages, rename themselves, or send typing
  /// events. Any thread.
  ///
  /// A client of the rich protocol gets an event, and an error for each message. The messages of a client of the plain
  /// protocol are dropped.
  ///
  /// - Parameters:
  ///   - target: the clients.
  ///   - room: the path of the room; nil mutes the clients in all rooms.
  ///   - until: the time at which the restriction ends: milliseconds since 1970, UTC. Nil means never.
  ///   - reason: the reason, see ``kick(_:in:reason:by:)``.
  ///   - name: the name of the member or program that mutes them.
  /// - Returns: the restriction, which is in effect and stored.
  /// - Throws: ``ChatError/Code/tooManyRestrictions`` if there are ``ChatOptions/maxRestrictions`` mutes and bans.
  @discardableResult
  public func mute(
    _ target: Restriction.Target, in room: String? = nil, until: Int64? = nil, reason: String? = nil, by name: String
  ) async throws(ChatError) -> Restriction {
    try await restrict(.mute, target, in: room, until: until, reason: reason, by: name)
  }

  /// Closes clients with 4003 on all servers, and rejects them afterwards. Any thread.
  ///
  /// The handshake gets status 403 if the ban is of a network, if the client uses the plain protocol, or if its token
  /// is in the header `Authorization` or the query. Other clients get the error `banned` in response to their hello,
  /// and are closed with 4003.
  ///
  /// - Parameters:
  ///   - target: the clients.
  ///   - room: the path of the room; nil bans the clients from all rooms.
  ///   - until: the time at which the restriction ends: milliseconds since 1970, UTC. Nil means never.
  ///   - reason: the reason, see ``kick(_:in:reason:by:)``.
  ///   - name: the name of the member or program that bans them.
  /// - Returns: the restriction, which is in effect and stored.
  /// - Throws: ``ChatError/Code/tooManyRestrictions`` if there are ``ChatOptions/maxRestrictions`` mutes and bans.
  @discardableResult
  public func ban(
    _ target: Restriction.Target, in room: String? = nil, until: Int64? = nil, reason: String? = nil, by name: String
  ) async throws(ChatError) -> Restriction {
    try await restrict(.ban, target, in: room, until: until, reason: reason, by: name)
  }

  /// Lifts the mute of a target in a room; if `room` is nil, the mute in all rooms. Any thread.
  ///
  /// - Throws: ``ChatError/Code/restrictionGone`` if the mute or ban does not exist.
  public func unmute(_ target: Restriction.Target, in room: String? = nil) async throws(ChatError) {
    try await lift(Restriction.id(.mute, target, try room.map(checkedRoom)))
  }

  /// Lifts the ban of a target from a room; if `room` is nil, the ban from all rooms. Any thread.
  ///
  /// - Throws: ``ChatError/Code/restrictionGone`` if the mute or ban does not exist.
  public func unban(_ target: Restriction.Target, in room: String? = nil) async throws(ChatError) {
    try await lift(Restriction.id(.ban, target, try room.map(checkedRoom)))
  }

  /// Lifts the mute or ban with this ``Restriction/id``. Any thread.
  ///
  /// - Throws: ``ChatError/Code/restrictionGone`` if the mute or ban does not exist.
  public func lift(_ id: Restriction.ID) async throws(ChatError) { try await submit(.lift(id: id)) }

  /// Returns the mutes and bans that are in effect in a room; if `room` is nil, all mutes and bans. They are in the
  /// order of their ids. Any thread.
  public func restrictions(in room: String? = nil) -> [Restriction] {
    moderation.list(of: room.map { [$0.composed, nil] })
  }

  /// Returns the target for restrictions of the member with this name in a room, on any server: the user, or the guest
  /// and its network. Returns nil if the room does not have the member. Any thread.
  public func target(named name: String, in room: String) -> Restriction.Target? {
    Name(name, limit: Name.greatestLimit).flatMap { rooms.room(room.composed)?.find(.name($0))?.target }
  }

  /// Returns the target for restrictions of a member of a room, on any server: the user, or the guest and its network.
  /// `member` is ``ChatMessage/member``, for example. Returns nil if the member has left. Any thread.
  public func target(_ member: Member, in room: String) -> Restriction.Target? {
    rooms.room(room.composed)?.find(.member(member))?.target
  }

  private func restrict(
    _ kind: Restriction.Kind, _ target: Restriction.Target, in room: String?, until: Int64?, reason: String?,
    by name: String
  ) async throws(ChatError) -> Restriction {
    let restriction = try programRestriction(kind, target, in: room, until: until, reason: reason, by: name)
    try await submit(.set(restriction))
    return restriction
  }

  /// Returns a restriction of the program. Throws if an argument is wrong.
  package func programRestriction(
    _ kind: Restriction.Kind, _ target: Restriction.Target, in room: String?, until: Int64?, reason: String?,
    by name: String
  ) throws(ChatError) -> Restriction {
    let room = try room.map(checkedRoom)
    let by = try checkedName(name).text
    let now = WallClock.milliseconds
    if let until, until <= now || !Position.times.contains(until) {
      throw ChatError(.timeInvalid, "the end must be in the future and before the year 10000, not \(until)")
    }
    if let reason, reason.utf8.count > Restriction.maxReasonLength {
      throw ChatError(.textInvalid, "the reason has more than \(Restriction.maxReasonLength) bytes")
    }
    if case .user(let id) = target, !(1...Identity.maxIDLength ~= id.utf8.count) {
      throw ChatError(.userInvalid, "the id of the user must have 1 to \(Identity.maxIDLength) bytes")
    }
    var (target, until) = (target, until)
    if kind == .kick {
      if case .guest(let guest, _) = target { target = .guest(guest, network: nil) }
      until = now + Restriction.time(ofKick: target).milliseconds
    }
    return Restriction(
      kind, target, in: room, until: until, reason: reason.flatMap { Restriction.reason($0) }, name: nil, by: by,
      isByModerator: false)
  }

  /// Makes a change, and returns when the change is stored.
  package func submit(_ change: RestrictionChange) async throws(ChatError) {
    let (results, continuation) = AsyncStream.makeStream(of: ChatError?.self)
    try moderation.submit(change) { error in
      continuation.yield(error)
      continuation.finish()
    }
    for await error in results {
      if let error { throw error }
      return
    }
    throw ChatError(.unknown, "the change is in effect on this server, and may have been stored")
  }

  /// Makes a change. Calls `done` once, on any thread, when the engine has stored the change, or with an error if it
  /// never will. Any thread.
  package func submit(
    _ change: RestrictionChange, _ done: @escaping @Sendable (ChatError?) -> Void
  ) throws(ChatError) { try moderation.submit(change, done) }
}

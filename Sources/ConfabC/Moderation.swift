public import CConfab
internal import Confab
internal import ConfabChat

private typealias Done = (@convention(c) (Int32, UnsafeMutableRawPointer?) -> Void)?

@c @implementation
public func confab_chat_kick(
  _ server: OpaquePointer?, _ room: UnsafePointer<CChar>?, _ kind: Int32, _ target: UnsafePointer<CChar>?,
  _ reason: UnsafePointer<CChar>?, _ name: UnsafePointer<CChar>?,
  _ done: (@convention(c) (Int32, UnsafeMutableRawPointer?) -> Void)?, _ userData: UnsafeMutableRawPointer?
) -> Int32 {
  unsafe restrict(.kick, server, room, kind, target, 0, reason, name, done, userData)
}

@c @implementation
public func confab_chat_mute(
  _ server: OpaquePointer?, _ room: UnsafePointer<CChar>?, _ kind: Int32, _ target: UnsafePointer<CChar>?,
  _ until: Int64, _ reason: UnsafePointer<CChar>?, _ name: UnsafePointer<CChar>?,
  _ done: (@convention(c) (Int32, UnsafeMutableRawPointer?) -> Void)?, _ userData: UnsafeMutableRawPointer?
) -> Int32 {
  unsafe restrict(.mute, server, room, kind, target, until, reason, name, done, userData)
}

@c @implementation
public func confab_chat_ban(
  _ server: OpaquePointer?, _ room: UnsafePointer<CChar>?, _ kind: Int32, _ target: UnsafePointer<CChar>?,
  _ until: Int64, _ reason: UnsafePointer<CChar>?, _ name: UnsafePointer<CChar>?,
  _ done: (@convention(c) (Int32, UnsafeMutableRawPointer?) -> Void)?, _ userData: UnsafeMutableRawPointer?
) -> Int32 {
  unsafe restrict(.ban, server, room, kind, target, until, reason, name, done, userData)
}

@c @implementation
public func confab_chat_unmute(
  _ server: OpaquePointer?, _ room: UnsafePointer<CChar>?, _ kind: Int32, _ target: UnsafePointer<CChar>?,
  _ done: (@convention(c) (Int32, UnsafeMutableRawPointer?) -> Void)?, _ userData: UnsafeMutableRawPointer?
) -> Int32 {
  unsafe lift(.mute, server, room, kind, target, done, userData)
}

@c @implementation
public func confab_chat_unban(
  _ server: OpaquePointer?, _ room: UnsafePointer<CChar>?, _ kind: Int32, _ target: UnsafePointer<CChar>?,
  _ done: (@convention(c) (Int32, UnsafeMutableRawPointer?) -> Void)?, _ userData: UnsafeMutableRawPointer?
) -> Int32 {
  unsafe lift(.ban, server, room, kind, target, done, userData)
}

@c @implementation
public func confab_chat_lift(
  _ server: OpaquePointer?, _ id: UnsafePointer<CChar>?,
  _ done: (@convention(c) (Int32, UnsafeMutableRawPointer?) -> Void)?, _ userData: UnsafeMutableRawPointer?
) -> Int32 {
  result { () throws(CError) in
    let host = try unsafe HostedServer.chat(of: server)
    try unsafe submit(.lift(id: string(id, "id")), host, done, userData)
  }
}

@c @implementation
public func confab_chat_restrictions(
  _ server: OpaquePointer?, _ room: UnsafePointer<CChar>?,
  _ each: (@convention(c) (UnsafePointer<confab_chat_restriction>?, UnsafeMutableRawPointer?) -> Void)?,
  _ userData: UnsafeMutableRawPointer?
) -> Int64 {
  result { () throws(CError) in
    let host = try unsafe HostedServer.chat(of: server)
    let room = try unsafe path(room, host)
    let restrictions = host.chat.restrictions(in: room)
    if let each = unsafe each {
      for restriction in restrictions {
        let strings = CStrings()
        var value = unsafe strings.restriction(restriction)
        unsafe each(&value, userData)
      }
    }
    return Int64(restrictions.count)
  }
}

private func restrict(
  _ kind: Restriction.Kind, _ server: OpaquePointer?, _ room: UnsafePointer<CChar>?, _ targetKind: Int32,
  _ target: UnsafePointer<CChar>?, _ until: Int64, _ reason: UnsafePointer<CChar>?, _ name: UnsafePointer<CChar>?,
  _ done: Done, _ userData: UnsafeMutableRawPointer?
) -> Int32 {
  result { () throws(CError) in
    let host = try unsafe HostedServer.chat(of: server)
    let room = try unsafe path(room, host)
    let target = try unsafe clients(targetKind, target, room, host)
    let (reason, name) = try unsafe (reason == nil ? nil : string(reason, "reason"), string(name, "name"))
    let restriction = try checked { () throws(ChatError) in
      try host.chat.programRestriction(
        kind, target, in: room, until: until == 0 ? nil : until, reason: reason, by: name)
    }
    try unsafe submit(.set(restriction), host, done, userData)
  }
}

private func lift(
  _ kind: Restriction.Kind, _ server: OpaquePointer?, _ room: UnsafePointer<CChar>?, _ targetKind: Int32,
  _ target: UnsafePointer<CChar>?, _ done: Done, _ userData: UnsafeMutableRawPointer?
) -> Int32 {
  result { () throws(CError) in
    let host = try unsafe HostedServer.chat(of: server)
    let room = try unsafe path(room, host)
    let target = try unsafe clients(targetKind, target, room, host)
    try unsafe submit(.lift(id: Restriction.id(kind, target, room)), host, done, userData)
  }
}

private func submit(
  _ change: RestrictionChange, _ host: HostedChat, _ done: Done, _ userData: UnsafeMutableRawPointer?
) throws(CError) {
  // nonisolated(unsafe): the program is responsible for its pointer.
  nonisolated(unsafe) let userData = unsafe userData
  try host.submit(change) { error in
    guard let done = unsafe done else { return }
    unsafe done(error.map { code($0) } ?? CONFAB_OK.rawValue, userData)
  }
}

/// Returns the room of a path; nil for NULL, which means all rooms.
private func path(_ room: UnsafePointer<CChar>?, _ host: HostedChat) throws(CError) -> String? {
  try unsafe room == nil ? nil : checkedRoom(room, host)
}

private func clients(
  _ kind: Int32, _ text: UnsafePointer<CChar>?, _ room: String?, _ host: HostedChat
) throws(CError) -> Restriction.Target {
  let text = try unsafe string(text, "target")
  switch kind {
  case Int32(CONFAB_CHAT_TARGET_USER.rawValue): return .user(text)
  case Int32(CONFAB_CHAT_TARGET_NETWORK.rawValue):
    return .network(try checked { () throws(ChatError) in try Network(text) })
  case Int32(CONFAB_CHAT_TARGET_MEMBER.rawValue):
    guard let room else { throw .argument("room is NULL: a member is found by its name in a room") }
    guard let target = host.chat.target(named: text, in: room) else {
      let place = room.withoutControls
      throw CError(CONFAB_ERROR_NOT_FOUND, "no member of \(place) has the name '\(text.withoutControls)'")
    }
    return target
  default: throw .argument("\(kind) is not a value of enum confab_chat_target")
  }
}

extension CStrings {
  fileprivate func restriction(_ restriction: Restriction) -> confab_chat_restriction {
    var value = unsafe confab_chat_restriction()
    unsafe value.size = MemoryLayout<confab_chat_restriction>.stride
    unsafe (value.id, value.is_ban) = (copy(restriction.id), restriction.kind == .ban ? 1 : 0)
    switch restriction.target {
    case .user(let id): unsafe value.user = copy(id)
    case .guest(let guest, let network):
      unsafe (value.guest, value.network) = (copy(guest.text), network.map { unsafe copy($0.description) })
    case .network(let network): unsafe value.network = copy(network.description)
    }
    unsafe (value.room, value.until_ms) = (restriction.room.map(copy), restriction.until ?? 0)
    unsafe (value.reason, value.name) = (restriction.reason.map(copy), restriction.name.map(copy))
    unsafe (value.by, value.is_by_moderator) = (copy(restriction.by), restriction.isByModerator ? 1 : 0)
    return unsafe value
  }
}

public import CConfab
internal import ConfabChat

@c @implementation
public func confab_chat_publish(
  _ server: OpaquePointer?, _ room: UnsafePointer<CChar>?, _ name: UnsafePointer<CChar>?,
  _ text: UnsafePointer<CChar>?, _ length: Int, _ key: UnsafePointer<CChar>?,
  _ done: (@convention(c) (Int32, UnsafePointer<CChar>?, Int64, UnsafeMutableRawPointer?) -> Void)?,
  _ userData: UnsafeMutableRawPointer?
) -> Int32 {
  result { () throws(CError) in
    let host = try unsafe HostedServer.chat(of: server)
    let (text, room) = try unsafe (string(text, length), string(room, "room"))
    let (name, key) = try unsafe (string(name, "name"), key == nil ? nil : string(key, "key"))
    let message = try checked { () throws(ChatError) in
      try host.chat.programMessage(text, in: room, as: name, key: key)
    }
    try unsafe publish(message, host, done, userData)
  }
}

@c @implementation
public func confab_chat_edit(
  _ server: OpaquePointer?, _ room: UnsafePointer<CChar>?, _ epoch: UnsafePointer<CChar>?, _ offset: Int64,
  _ name: UnsafePointer<CChar>?, _ text: UnsafePointer<CChar>?, _ length: Int,
  _ done: (@convention(c) (Int32, UnsafePointer<CChar>?, Int64, UnsafeMutableRawPointer?) -> Void)?,
  _ userData: UnsafeMutableRawPointer?
) -> Int32 {
  result { () throws(CError) in
    let host = try unsafe HostedServer.chat(of: server)
    let text = try unsafe string(text, length)
    try unsafe publish(change(room, epoch, offset, name, text, host), host, done, userData)
  }
}

@c @implementation
public func confab_chat_remove(
  _ server: OpaquePointer?, _ room: UnsafePointer<CChar>?, _ epoch: UnsafePointer<CChar>?, _ offset: Int64,
  _ name: UnsafePointer<CChar>?,
  _ done: (@convention(c) (Int32, UnsafePointer<CChar>?, Int64, UnsafeMutableRawPointer?) -> Void)?,
  _ userData: UnsafeMutableRawPointer?
) -> Int32 {
  result { () throws(CError) in
    let host = try unsafe HostedServer.chat(of: server)
    try unsafe publish(change(room, epoch, offset, name, nil, host), host, done, userData)
  }
}

private func change(
  _ room: UnsafePointer<CChar>?, _ epoch: UnsafePointer<CChar>?, _ offset: Int64, _ name: UnsafePointer<CChar>?,
  _ text: String?, _ host: HostedChat
) throws(CError) -> ProgramMessage {
  let position = try unsafe position(epoch, offset, "offset")
  let (room, name) = try unsafe (string(room, "room"), string(name, "name"))
  return try checked { () throws(ChatError) in
    try host.chat.programChange(of: position, to: text, in: room, as: name)
  }
}

private func publish(
  _ message: ProgramMessage, _ host: HostedChat,
  _ done: (@convention(c) (Int32, UnsafePointer<CChar>?, Int64, UnsafeMutableRawPointer?) -> Void)?,
  _ userData: UnsafeMutableRawPointer?
) throws(CError) {
  // nonisolated(unsafe): the program is responsible for its pointer.
  nonisolated(unsafe) let userData = unsafe userData
  try host.publish(message) { result in
    guard let done = unsafe done else { return }
    switch result {
    case .success(let position):
      unsafe position.epoch.withCString { unsafe done(CONFAB_OK.rawValue, $0, Int64(position.offset), userData) }
    case .failure(let error): unsafe done(code(error), nil, 0, userData)
    }
  }
}

@c @implementation
public func confab_chat_history(
  _ server: OpaquePointer?, _ room: UnsafePointer<CChar>?, _ epoch: UnsafePointer<CChar>?, _ after: Int64,
  _ before: Int64, _ count: Int32,
  _ done: (@convention(c) (Int32, UnsafePointer<confab_chat_page>?, UnsafeMutableRawPointer?) -> Void)?,
  _ userData: UnsafeMutableRawPointer?
) -> Int32 {
  result { () throws(CError) in
    let host = try unsafe HostedServer.chat(of: server)
    let room = try unsafe checkedRoom(room, host)
    guard (1...100).contains(count) else { throw .argument("count must be 1 to 100, not \(count)") }
    guard after == -1 || before == -1 else { throw .argument("after or before must be -1") }
    let after = try after == -1 ? nil : unsafe position(epoch, after, "after")
    let before = try before == -1 ? nil : unsafe position(epoch, before, "before")
    guard let done = unsafe done else { throw .argument("done is NULL") }
    // nonisolated(unsafe): the program is responsible for its pointer.
    nonisolated(unsafe) let userData = unsafe userData
    try host.history(of: room, after: after, before: before, count: Int(count)) { result in
      switch result {
      case .success(let page): unsafe withPage(page) { unsafe done(CONFAB_OK.rawValue, $0, userData) }
      case .failure(let error): unsafe done(code(error), nil, userData)
      }
    }
  }
}

@c @implementation
public func confab_chat_members(
  _ server: OpaquePointer?, _ room: UnsafePointer<CChar>?,
  _ each: (@convention(c) (UnsafePointer<CChar>?, UnsafeMutableRawPointer?) -> Void)?,
  _ userData: UnsafeMutableRawPointer?
) -> Int64 {
  result { () throws(CError) in
    let host = try unsafe HostedServer.chat(of: server)
    let members = host.chat.members(of: try unsafe checkedRoom(room, host))
    if let each = unsafe each {
      for name in members.names { unsafe name.withCString { unsafe each($0, userData) } }
    }
    return Int64(members.count)
  }
}

@c @implementation
public func confab_chat_subscribe(
  _ server: OpaquePointer?, _ room: UnsafePointer<CChar>?, _ epoch: UnsafePointer<CChar>?, _ offset: Int64,
  _ callback: (@convention(c) (Int32, UnsafePointer<confab_chat_message>?, UnsafeMutableRawPointer?) -> Void)?,
  _ userData: UnsafeMutableRawPointer?, _ subscription: UnsafeMutablePointer<OpaquePointer?>?
) -> Int32 {
  result { () throws(CError) in
    guard let subscription = unsafe subscription else { throw .argument("the pointer to the subscription is NULL") }
    unsafe subscription.pointee = nil
    let host = try unsafe HostedServer.chat(of: server)
    let room = try unsafe checkedRoom(room, host)
    let start = try unsafe epoch == nil ? nil : position(epoch, offset, "offset")
    guard let callback = unsafe callback else { throw .argument("callback is NULL") }
    // nonisolated(unsafe): the program is responsible for its pointer.
    nonisolated(unsafe) let userData = unsafe userData
    let publications = host.chat.publications(in: room, after: start)
    try host.subscribe(to: publications, { unsafe subscription.pointee = $0.handle }) { result in
      switch result {
      case .success(let message):
        let strings = CStrings()
        var message = unsafe strings.message(message)
        unsafe callback(CONFAB_OK.rawValue, &message, userData)
      case .failure(let error): unsafe callback(code(error), nil, userData)
      }
    }
  }
}

@c @implementation
public func confab_chat_watch_members(
  _ server: OpaquePointer?, _ room: UnsafePointer<CChar>?,
  _ callback: (@convention(c) (Int32, UnsafePointer<confab_chat_member>?, UnsafeMutableRawPointer?) -> Void)?,
  _ userData: UnsafeMutableRawPointer?, _ subscription: UnsafeMutablePointer<OpaquePointer?>?
) -> Int32 {
  result { () throws(CError) in
    guard let subscription = unsafe subscription else { throw .argument("the pointer to the subscription is NULL") }
    unsafe subscription.pointee = nil
    let host = try unsafe HostedServer.chat(of: server)
    let changes = host.chat.memberChanges(in: try unsafe checkedRoom(room, host))
    guard let callback = unsafe callback else { throw .argument("callback is NULL") }
    // nonisolated(unsafe): the program is responsible for its pointer.
    nonisolated(unsafe) let userData = unsafe userData
    try host.subscribe(to: changes, { unsafe subscription.pointee = $0.handle }) { result in
      switch result {
      case .success(let change):
        let strings = CStrings()
        var member = unsafe strings.member(change)
        unsafe callback(CONFAB_OK.rawValue, &member, userData)
      case .failure(let error): unsafe callback(code(error), nil, userData)
      }
    }
  }
}

@c @implementation
public func confab_chat_unsubscribe(_ subscription: OpaquePointer?) -> Int32 {
  result { () throws(CError) in try unsafe Subscription.end(subscription) }
}

// MARK: Arguments

func checked<Value>(_ body: () throws(ChatError) -> Value) throws(CError) -> Value {
  do throws(ChatError) { return try body() } catch { throw CError(error) }
}

func checkedRoom(_ room: UnsafePointer<CChar>?, _ host: HostedChat) throws(CError) -> String {
  let room = try unsafe string(room, "room")
  return try checked { () throws(ChatError) in try host.chat.checkedRoom(room) }
}

private func position(
  _ epoch: UnsafePointer<CChar>?, _ offset: Int64, _ name: String
) throws(CError) -> StreamPosition {
  guard offset >= 0 else { throw .argument("\(name) must not be negative, but is \(offset)") }
  return StreamPosition(epoch: try unsafe string(epoch, "epoch"), offset: Int(offset))
}

/// Returns the result code of an error, which confab_last_error() then describes on this thread.
func code(_ error: ChatError) -> Int32 {
  result { () throws(CError) in throw CError(error) }
}

// MARK: Messages

/// C strings that are freed with this object.
@safe final class CStrings {
  private var strings: [UnsafeMutableBufferPointer<UInt8>] = unsafe []

  deinit { unsafe strings.forEach { unsafe $0.deallocate() } }

  func copy(_ text: String) -> UnsafePointer<CChar> {
    let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: text.utf8.count + 1)
    _ = unsafe copy.initialize(from: text.utf8)
    unsafe copy.initializeElement(at: text.utf8.count, to: 0)
    unsafe strings.append(copy)
    return unsafe UnsafeRawPointer(copy.baseAddress!).assumingMemoryBound(to: CChar.self)
  }

  /// Returns a struct with strings of this object.
  func message(_ message: ChatMessage) -> confab_chat_message {
    unsafe confab_chat_message(
      size: MemoryLayout<confab_chat_message>.stride, epoch: copy(message.position.epoch),
      offset: Int64(message.position.offset), time_ms: message.time, name: message.name.map(copy),
      key: message.key.map(copy), text: message.text.map(copy), length: message.text?.utf8.count ?? 0,
      message_size: Int64(message.size), entry: Int32(message.entry.code.rawValue),
      changed_offset: Int64(message.entry.target ?? 0), is_edited: message.isEdited ? 1 : 0,
      is_removed: message.isRemoved ? 1 : 0)
  }
}

extension CStrings {
  fileprivate func member(_ change: MemberChange) -> confab_chat_member {
    let (kind, member, oldName) =
      switch change {
      case .joined(let member): (CONFAB_CHAT_JOINED, member, String?.none)
      case .left(let member): (CONFAB_CHAT_LEFT, member, nil)
      case .renamed(let member, let name): (CONFAB_CHAT_RENAMED, member, name)
      }
    return unsafe confab_chat_member(
      size: MemoryLayout<confab_chat_member>.stride, change: Int32(kind.rawValue), id: copy(member.id.text),
      name: copy(member.name), old_name: oldName.map(copy), user: member.user.map(copy))
  }
}

private func withPage(_ page: HistoryPage, _ body: (UnsafePointer<confab_chat_page>) -> Void) {
  let strings = CStrings()
  let messages = unsafe page.messages.map { unsafe strings.message($0) }
  unsafe messages.withUnsafeBufferPointer { messages in
    let pointers = unsafe messages.indices.map { index in unsafe messages.baseAddress.map { unsafe $0 + index } }
    unsafe pointers.withUnsafeBufferPointer { pointers in
      var page = unsafe confab_chat_page(
        size: MemoryLayout<confab_chat_page>.stride, messages: pointers.baseAddress, count: pointers.count,
        has_more: page.hasMore ? 1 : 0, end_epoch: strings.copy(page.end.epoch), end_offset: Int64(page.end.offset))
      unsafe body(&page)
    }
  }
}

extension EntryKind {
  fileprivate var code: confab_chat_entry {
    switch self {
    case .message: CONFAB_CHAT_MESSAGE
    case .edit: CONFAB_CHAT_EDIT
    case .removal: CONFAB_CHAT_REMOVAL
    }
  }
}

internal import CConfab
internal import Confab
internal import Synchronization

/// The context of a connection.
@safe final class ConnectionContext: @unchecked Sendable {
  // @unchecked: once the connection is open, it is used on the loop's thread only.

  /// Nil before the connection is open, and after it is closed.
  var host: HostedServer?
  /// The rooms of the connection.
  var rooms: [Rooms.Room] = []
  /// The program's pointer.
  var userPointer: UnsafeMutableRawPointer?

  /// Calls the program's `release` function.
  private let release: () -> Void

  init() { release = {} }

  /// `release`, unless it is nil, is called with the pointer when the last reference to this object is released.
  init(userPointer: UnsafeMutableRawPointer?, release: (@convention(c) (UnsafeMutableRawPointer?) -> Void)?) {
    unsafe self.userPointer = userPointer
    self.release = { unsafe release?(userPointer) }
  }

  deinit { release() }
}

// A `confab_connection` is the address of a Connection. The loop keeps the connection alive until it is closed; after
// that, the program's references from confab_connection_retain() do.
extension Connection {
  static func of(_ handle: OpaquePointer?) throws(CError) -> Connection {
    guard let handle = unsafe handle else { throw .argument("the connection is NULL") }
    let connection = unsafe Unmanaged<Connection>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
    try connection.loop.origin.checked()
    return connection
  }

  var handle: OpaquePointer { unsafe OpaquePointer(Unmanaged.passUnretained(self).toOpaque()) }

  /// Returns the connection of a handle. Throws unless called on the thread of the connection's loop.
  static func current(_ handle: OpaquePointer?) throws(CError) -> Connection {
    let connection = try unsafe of(handle)
    guard connection.loop.isCurrent else {
      throw CError(
        CONFAB_ERROR_THREAD,
        "the connection must be used on the thread of loop \(connection.loop.index): use confab_execute()")
    }
    return connection
  }

  /// Returns the connection of a handle. Throws if the connection is not open, or if the call is on the wrong thread.
  static func open(_ handle: OpaquePointer?) throws(CError) -> Connection {
    let connection = try unsafe current(handle)
    guard connection.readyState == .open else { throw closed }
    return connection
  }

  static let closed = CError(CONFAB_ERROR_CLOSED, "the connection is closing or closed")

  var programContext: ConnectionContext? { context as? ConnectionContext }
}

/// Reads the arguments of a message, which is borrowed during the call.
private func message<Value>(
  _ kind: Int32, _ data: UnsafeRawPointer?, _ length: Int, _ use: (borrowing Message) throws(CError) -> Value
) throws(CError) -> Value {
  guard let kind = UInt8(exactly: kind).flatMap(Message.Kind.init) else {
    throw .argument("kind must be CONFAB_TEXT or CONFAB_BINARY, not \(kind)")
  }
  guard (0...1 << 30).contains(length) else { throw .argument("length must be at most 2^30") }
  guard unsafe data != nil || length == 0 else { throw .argument("data is NULL") }
  let bytes = unsafe UnsafeRawBufferPointer(start: data, count: length)
  return try use(Message(kind, unsafe Span<UInt8>(_unsafeBytes: bytes)))
}

@c @implementation
public func confab_send(_ connection: OpaquePointer?, _ kind: Int32, _ data: UnsafeRawPointer?, _ length: Int) -> Int32
{
  result { () throws(CError) in
    let connection = try unsafe Connection.open(connection)
    switch try unsafe message(kind, data, length, { connection.send(copy $0) }) {
    case .queued: return CONFAB_OK.rawValue
    case .backlogged: return Int32(CONFAB_BACKLOGGED)
    case .dropped:
      throw CError(
        CONFAB_ERROR_CLOSED, "more than max_backlog bytes would be queued: the connection is closed with 1013")
    }
  }
}

/// Reads the arguments of a close frame.
private func close(_ code: Int32, _ reason: UnsafePointer<CChar>?) throws(CError) -> (CloseCode, String) {
  guard let code = UInt16(exactly: code).map(CloseCode.init), code.isSendable else {
    throw .argument("close code \(code) must not be sent (RFC 6455, section 7.4)")
  }
  return (code, try unsafe reason == nil ? "" : string(reason, "reason"))
}

@c @implementation
public func confab_close(_ connection: OpaquePointer?, _ code: Int32, _ reason: UnsafePointer<CChar>?) -> Int32 {
  result { () throws(CError) in
    let connection = try unsafe Connection.open(connection)
    let (code, reason) = try unsafe close(code, reason)
    connection.close(code, reason: reason)
  }
}

/// Counts the connections that a call closes. Calls `done` when all loops have released it: they have run the call's
/// job, or have dropped it.
@safe private final class ClosedCount: Sendable {
  private let count = Atomic(0)
  private let done: @Sendable (Int64) -> Void

  init(_ done: @escaping @Sendable (Int64) -> Void) { self.done = done }
  func add() { count.add(1, ordering: .relaxed) }
  deinit { done(Int64(count.load(ordering: .acquiring))) }
}

@c @implementation
public func confab_server_close_connections(
  _ server: OpaquePointer?, _ code: Int32, _ reason: UnsafePointer<CChar>?,
  _ predicate: (@convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> Int32)?,
  _ done: (@convention(c) (Int64, UnsafeMutableRawPointer?) -> Void)?, _ userData: UnsafeMutableRawPointer?
) -> Int32 {
  result { () throws(CError) in
    let host = try unsafe HostedServer.of(server)
    let (code, reason) = try unsafe close(code, reason)
    // nonisolated(unsafe): the program is responsible for its pointer.
    nonisolated(unsafe) let userData = unsafe userData
    let closed = ClosedCount { unsafe done?($0, userData) }
    host.server.forEachConnection { connection in
      if let predicate = unsafe predicate, unsafe predicate(connection.handle, userData) == 0 { return }
      guard connection.readyState == .open else { return }
      connection.close(code, reason: reason)
      closed.add()
    }
  }
}

@c @implementation
public func confab_pause(_ connection: OpaquePointer?) -> Int32 {
  result { () throws(CError) in try unsafe Connection.open(connection).pauseReading() }
}

@c @implementation
public func confab_resume(_ connection: OpaquePointer?) -> Int32 {
  result { () throws(CError) in try unsafe Connection.open(connection).resumeReading() }
}

@c @implementation
public func confab_connection_backlog(_ connection: OpaquePointer?) -> Int64 {
  result { () throws(CError) in Int64(try unsafe Connection.current(connection).bufferedAmount) }
}

@c @implementation
public func confab_connection_set_user_pointer(
  _ connection: OpaquePointer?, _ pointer: UnsafeMutableRawPointer?
) -> Int32 {
  result { () throws(CError) in unsafe try Connection.current(connection).programContext?.userPointer = pointer }
}

@c @implementation
public func confab_connection_user_pointer(_ connection: OpaquePointer?) -> UnsafeMutableRawPointer? {
  unsafe value(or: nil) { () throws(CError) in unsafe try Connection.current(connection).programContext?.userPointer }
}

@c @implementation
public func confab_connection_server(_ connection: OpaquePointer?) -> OpaquePointer? {
  unsafe value(or: nil) { () throws(CError) in
    guard let host = try unsafe Connection.current(connection).programContext?.host else { throw Connection.closed }
    return unsafe host.handle
  }
}

@c @implementation
public func confab_connection_id(_ connection: OpaquePointer?) -> UInt64 {
  value(or: 0) { () throws(CError) in try unsafe Connection.of(connection).id }
}

@c @implementation
public func confab_connection_loop(_ connection: OpaquePointer?) -> Int32 {
  result { () throws(CError) in Int32(try unsafe Connection.of(connection).loop.index) }
}

@c @implementation
public func confab_connection_retain(_ connection: OpaquePointer?) -> Int32 {
  // The program's reference, see confab_connection_release().
  result { () throws(CError) in _ = unsafe Unmanaged.passRetained(try Connection.of(connection)) }
}

@c @implementation
public func confab_connection_release(_ connection: OpaquePointer?) -> Int32 {
  // The reference from confab_connection_retain().
  result { () throws(CError) in unsafe Unmanaged.passUnretained(try Connection.of(connection)).release() }
}

// MARK: Rooms

@c @implementation
public func confab_join(_ connection: OpaquePointer?, _ room: UnsafePointer<CChar>?) -> Int32 {
  result { () throws(CError) in
    let connection = try unsafe Connection.open(connection)
    let name = try unsafe string(room, "room")
    guard let context = connection.programContext, let rooms = context.host?.rooms else { throw Connection.closed }
    if context.rooms.contains(where: { $0.name.isSame(as: name) }) { return }
    guard let room = rooms.enter(name) else { throw CError(CONFAB_ERROR_ROOMS, "the limit max_rooms is reached") }
    guard connection.join(room.log) else {
      rooms.leave(room)
      throw CError(CONFAB_ERROR_ROOMS, "the limit max_rooms_per_connection is reached")
    }
    context.rooms.append(room)
  }
}

@c @implementation
public func confab_leave(_ connection: OpaquePointer?, _ room: UnsafePointer<CChar>?) -> Int32 {
  result { () throws(CError) in
    let connection = try unsafe Connection.open(connection)
    let name = try unsafe string(room, "room")
    guard let context = connection.programContext,
      let index = context.rooms.firstIndex(where: { $0.name.isSame(as: name) })
    else { return }
    let room = context.rooms.remove(at: index)
    connection.leave(room.log)
    context.host?.rooms?.leave(room)
  }
}

@c @implementation
public func confab_publish(
  _ server: OpaquePointer?, _ room: UnsafePointer<CChar>?, _ kind: Int32, _ data: UnsafeRawPointer?, _ length: Int
) -> Int32 {
  result { () throws(CError) in
    guard let rooms = try unsafe HostedServer.of(server).rooms else {
      throw CError(CONFAB_ERROR_STATE, "the server is a chat, which has its own rooms")
    }
    let name = try unsafe string(room, "room")
    try unsafe message(kind, data, length) { rooms[name]?.log.append(copy $0) }
  }
}

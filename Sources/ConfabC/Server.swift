public import CConfab
internal import Confab

@c @implementation
public func confab_create(
  _ config: UnsafePointer<confab_config>?, _ callbacks: UnsafePointer<confab_callbacks>?,
  _ userData: UnsafeMutableRawPointer?, _ server: UnsafeMutablePointer<OpaquePointer?>?
) -> Int32 {
  unsafe create(server) { () throws(CError) in
    try unsafe HostedServer(
      confab_config.read(config, defaults: .defaults), confab_callbacks.read(callbacks), userData)
  }
}

@c @implementation
public func confab_chat_create(
  _ config: UnsafePointer<confab_config>?, _ callbacks: UnsafePointer<confab_callbacks>?,
  _ userData: UnsafeMutableRawPointer?, _ server: UnsafeMutablePointer<OpaquePointer?>?
) -> Int32 {
  unsafe create(server) { () throws(CError) in
    let callbacks = try unsafe callbacks == nil ? nil : confab_callbacks.read(callbacks)
    if unsafe callbacks?.authorize != nil || callbacks?.message != nil {
      throw .argument(
        "the chat does not call authorize and message: use confab_config.admit and confab_chat_subscribe()")
    }
    return try unsafe HostedServer(chat: confab_config.read(config, defaults: .defaults), callbacks, userData)
  }
}

private func create(
  _ server: UnsafeMutablePointer<OpaquePointer?>?, _ make: () throws(CError) -> HostedServer
) -> Int32 {
  result { () throws(CError) in
    guard let server = unsafe server else { throw .argument("the pointer to the server is NULL") }
    unsafe server.pointee = nil
    unsafe try make().give(to: server)
  }
}

@c @implementation
public func confab_start(_ server: OpaquePointer?) -> Int32 {
  result { () throws(CError) in try unsafe HostedServer.of(server).start() }
}

@c @implementation
public func confab_run(_ server: OpaquePointer?) -> Int32 {
  result { () throws(CError) in
    try unsafe HostedServer.of(server).run()
  }
}

@c @implementation
public func confab_poll_fd(_ server: OpaquePointer?) -> Int32 {
  result { () throws(CError) in try unsafe HostedServer.polled(server, isLoopOnly: false).pollDescriptor }
}

@c @implementation
public func confab_poll_timeout(_ server: OpaquePointer?) -> Int32 {
  // Errors are negative, and so is "no limit".
  var timeout: Int32 = -1
  let code = result { () throws(CError) in
    timeout = try unsafe HostedServer.polled(server, isLoopOnly: true).pollTimeout
  }
  return code == 0 ? timeout : code
}

@c @implementation
public func confab_poll_step(_ server: OpaquePointer?) -> Int32 {
  result { () throws(CError) in try unsafe HostedServer.polled(server, isLoopOnly: true).step() ? 1 : 0 }
}

@c @implementation
public func confab_stop(_ server: OpaquePointer?, _ deadline: Int64) -> Int32 {
  result { () throws(CError) in try unsafe HostedServer.of(server).stop(deadline: deadline) }
}

@c @implementation
public func confab_wait(_ server: OpaquePointer?) -> Int32 {
  result { () throws(CError) in try unsafe HostedServer.of(server).wait() }
}

@c @implementation
public func confab_when_stopped(
  _ server: OpaquePointer?, _ job: (@convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> Void)?,
  _ argument: UnsafeMutableRawPointer?
) -> Int32 {
  result { () throws(CError) in
    let host = try unsafe HostedServer.of(server)
    guard let job = unsafe job else { throw .argument("job is NULL") }
    // nonisolated(unsafe): the program is responsible for its pointer, and keeps it valid.
    nonisolated(unsafe) let argument = unsafe argument
    try host.whenStopped { unsafe job(host.handle, argument) }
  }
}

@c @implementation
public func confab_destroy(_ server: OpaquePointer?) -> Int32 {
  result { () throws(CError) in
    let host = try unsafe HostedServer.of(server)
    try host.end()
    // The program's reference, see HostedServer.give(to:).
    unsafe Unmanaged.passUnretained(host).release()
  }
}

@c @implementation
public func confab_execute(
  _ server: OpaquePointer?, _ loop: Int32,
  _ job: (@convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> Void)?, _ argument: UnsafeMutableRawPointer?
) -> Int32 {
  result { () throws(CError) in
    let host = try unsafe HostedServer.of(server)
    guard host.server.loops.indices.contains(Int(loop)) else {
      throw .argument("loop must be 0 to \(host.server.loops.count - 1), not \(loop)")
    }
    // nonisolated(unsafe): the program is responsible for its pointer, and keeps it valid.
    nonisolated(unsafe) let (server, argument) = unsafe (server, argument)
    guard let job = unsafe job else { throw .argument("job is NULL") }
    guard host.server.loops[Int(loop)].execute({ unsafe job(server, argument) }) else {
      throw CError(CONFAB_ERROR_CLOSED, "loop \(loop) has ended: the job is not run")
    }
  }
}

@c @implementation
public func confab_reload_certificate(_ server: OpaquePointer?) -> Int32 {
  result { () throws(CError) in
    let host = try unsafe HostedServer.of(server)
    do throws(ConfabError) { try host.server.reloadCertificate() } catch { throw CError(error) }
  }
}

@c @implementation
public func confab_server_port(_ server: OpaquePointer?) -> Int32 {
  result { () throws(CError) in Int32(try unsafe HostedServer.of(server).server.port) }
}

@c @implementation
public func confab_server_url(_ server: OpaquePointer?) -> UnsafePointer<CChar>? {
  unsafe value(or: nil) { () throws(CError) in try unsafe HostedServer.of(server).url.map { unsafe UnsafePointer($0) } }
}

@c @implementation
public func confab_server_loops(_ server: OpaquePointer?) -> Int32 {
  result { () throws(CError) in Int32(try unsafe HostedServer.of(server).server.loops.count) }
}

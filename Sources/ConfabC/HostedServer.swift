internal import CConfab
internal import Confab
internal import ConfabChat
internal import Dispatch
internal import Synchronization

/// The target of a `confab_server`. The program owns it from `confab_create()` to `confab_destroy()`.
@safe final class HostedServer: @unchecked Sendable {
  // @unchecked: variables are set before other threads have the object, or are atomic.

  private(set) var server: Server!
  /// Nil for a chat, which has its own rooms.
  let rooms: Rooms?
  /// Nil for a server without a chat.
  private let chat: HostedChat?
  /// Whether the server runs in an event loop of the program.
  private let isOnHostLoop: Bool
  /// The URL of the page, freed with this object.
  private(set) var url: UnsafeMutablePointer<CChar>?
  private let log: LogTarget
  private let isStarted = Atomic(false)

  /// Creates a server that calls the program's callbacks.
  init(
    _ config: confab_config, _ callbacks: confab_callbacks, _ userData: UnsafeMutableRawPointer?
  ) throws(CError) {
    log = unsafe LogTarget(config)
    isOnHostLoop = unsafe config.uv_loop != nil || config.is_polled != 0
    rooms = try unsafe Rooms(limit: config.chatOptions().maxRooms)
    chat = nil
    // nonisolated(unsafe): the program is responsible for its pointer.
    nonisolated(unsafe) let userData = unsafe userData
    // Unowned: this object outlives the loops, since confab_destroy() waits for them.
    try unsafe listen(config) { [unowned self] loop in
      unsafe CallbackHandler(callbacks, userData, host: self, on: loop)
    }
  }

  /// Creates a chat.
  init(
    chat config: confab_config, _ callbacks: confab_callbacks?, _ userData: UnsafeMutableRawPointer?
  ) throws(CError) {
    log = unsafe LogTarget(config)
    isOnHostLoop = unsafe config.uv_loop != nil || config.is_polled != 0
    rooms = nil
    let options = try unsafe config.chatOptions()
    let admission = try unsafe config.admission()
    let chat = Chat(options: options, engine: try unsafe config.engine(options, log), admit: admission)
    let hosted = HostedChat(chat)
    self.chat = hosted
    do throws(CError) {
      // nonisolated(unsafe): the program is responsible for its pointer.
      nonisolated(unsafe) let userData = unsafe userData
      try unsafe listen(config, chat) { [unowned self] loop in
        let handler = chat.handler(on: loop)
        guard let callbacks else { return handler }
        return ChatCallbackHandler(handler, unsafe CallbackHandler(callbacks, userData, host: self, on: loop))
      }
    } catch {
      hosted.end()
      throw error
    }
  }

  private func listen(
    _ config: confab_config, _ chat: Chat? = nil, _ makeHandler: @escaping @Sendable (EventLoop) -> any Handler
  ) throws(CError) {
    var configuration = try unsafe config.configuration(log)
    do throws(ConfabError) {
      if let chat {
        configuration = try chat.configuration(from: configuration)
        if configuration.mounts.isEmpty { configuration.mounts = [.chatPage] }
      }
      if let loop = unsafe UnsafeMutableRawPointer(config.uv_loop) {
        server = try unsafe Server(configuration, onUvLoop: loop, handler: makeHandler)
      } else if unsafe config.is_polled != 0 {
        server = try Server(polled: configuration, handler: makeHandler)
      } else {
        server = try Server(configuration, handler: makeHandler)
      }
    } catch {
      throw CError(error)
    }
    unsafe url = CMemory.copy(server.addresses[0].url)
  }

  deinit { unsafe CMemory.free(url) }

  // MARK: Running

  func start() throws(CError) {
    // Set before the start, because callbacks may already read it.
    isStarted.store(true, ordering: .releasing)
    do throws(ConfabError) { try server.start() } catch { throw CError(error) }
  }

  func run() throws(CError) {
    if isOnHostLoop {
      throw CError(CONFAB_ERROR_STATE, "the server has uv_loop or is_polled: call confab_start(), and run the loop")
    }
    isStarted.store(true, ordering: .releasing)
    do throws(ConfabError) { try server.startOnThisThread() } catch { throw CError(error) }
    try wait()
  }

  func stop(deadline: Int64) throws(CError) {
    guard (-1...86_400_000).contains(deadline) else {
      throw .argument("deadline_ms must be -1 to 86400000, not \(deadline)")
    }
    server.stop(within: deadline < 0 ? nil : .milliseconds(deadline))
  }

  /// Returns when every loop has ended.
  func wait() throws(CError) {
    try checkStarted()
    try checkThread()
    let ended = DispatchSemaphore(value: 0)
    server.whenStopped { ended.signal() }
    ended.wait()
  }

  func whenStopped(_ body: @escaping @Sendable () -> Void) throws(CError) {
    try checkStarted()
    server.whenStopped(body)
  }

  private func checkStarted() throws(CError) {
    guard isStarted.load(ordering: .acquiring) else {
      throw CError(CONFAB_ERROR_STATE, "the server has not been started")
    }
  }

  /// Stops the server, and ends the chat and the log, before the program's reference is released.
  func end() throws(CError) {
    try chat?.checkThread()
    if isStarted.load(ordering: .acquiring) {
      try checkThread()
      server.stop()
      try wait()
    }
    chat?.end()
    log.end()
  }

  private func checkThread() throws(CError) {
    guard server.isRunning, let loop = server.loops.first(where: \.isCurrent) else { return }
    throw CError(
      CONFAB_ERROR_THREAD,
      "loop \(loop.index) would wait for its own end: use confab_stop() and confab_when_stopped()")
  }

  // MARK: Pointers

  /// Returns the object of a handle, borrowed from the program.
  static func of(_ handle: OpaquePointer?) throws(CError) -> HostedServer {
    guard let handle = unsafe handle else { throw .argument("the server is NULL") }
    let host = unsafe Unmanaged<HostedServer>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
    try host.server.origin.checked()
    return host
  }

  /// Returns the chat of a handle's server.
  static func chat(of handle: OpaquePointer?) throws(CError) -> HostedChat {
    guard let chat = try unsafe of(handle).chat else {
      throw CError(CONFAB_ERROR_STATE, "the server is not a chat: use confab_chat_create()")
    }
    return chat
  }

  /// Returns the server of a handle, if it runs in steps and has been started.
  static func polled(_ handle: OpaquePointer?, isLoopOnly: Bool) throws(CError) -> Server {
    let host = try unsafe of(handle)
    guard host.server.isPolled else { throw CError(CONFAB_ERROR_STATE, "is_polled was not set") }
    try host.checkStarted()
    if isLoopOnly && host.server.isRunning && !host.server.loops[0].isCurrent {
      throw CError(CONFAB_ERROR_THREAD, "not on the thread that called confab_start()")
    }
    return host.server
  }

  var handle: OpaquePointer { unsafe OpaquePointer(Unmanaged.passUnretained(self).toOpaque()) }

  /// Gives the program a reference, which confab_destroy() releases.
  func give(to target: UnsafeMutablePointer<OpaquePointer?>) {
    unsafe target.pointee = OpaquePointer(Unmanaged.passRetained(self).toOpaque())
  }
}

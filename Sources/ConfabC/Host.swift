internal import CConfab
internal import Confab
internal import ConfabChat
internal import Dispatch
internal import Glibc
internal import Synchronization

/// What a `confab_server` points to. The program owns it, from `confab_create()` to `confab_destroy()`.
@safe final class Host: @unchecked Sendable {
  // @unchecked: what varies is set before anyone else has it, or is atomic.

  private(set) var server: Server!
  /// Nil when the server is a chat, which has its own.
  let rooms: Rooms?
  /// The page's address, freed with this object.
  private(set) var url: UnsafeMutablePointer<CChar>?
  private let log: LogTarget
  private let isStarted = Atomic(false)

  /// A server for a program's callbacks.
  init(
    _ config: confab_config, _ callbacks: confab_callbacks, _ userData: UnsafeMutableRawPointer?
  ) throws(Failure) {
    log = unsafe LogTarget(config)
    rooms = unsafe Rooms(limit: Int(config.max_rooms))
    // nonisolated(unsafe): the program says what it points to.
    nonisolated(unsafe) let userData = unsafe userData
    // Unowned: it outlives the loops, since destroy() waits for them.
    try unsafe listen(config.configuration(log)) { [unowned self] _ in
      unsafe CallbackHandler(callbacks, userData, host: self)
    }
  }

  /// The chat.
  init(chat config: confab_config) throws(Failure) {
    log = unsafe LogTarget(config)
    rooms = nil
    var configuration = try unsafe config.configuration(log)
    if configuration.mounts.isEmpty { configuration.mounts = [.chatPage] }
    let chat = unsafe Chat(maxRooms: Int(config.max_rooms))
    try listen(configuration) { chat.handler(on: $0) }
  }

  private func listen(
    _ configuration: Configuration, _ makeHandler: @escaping @Sendable (EventLoop) -> any Handler
  ) throws(Failure) {
    do throws(ConfabError) {
      server = try Server(configuration, handler: makeHandler)
    } catch {
      throw Failure(error)
    }
    unsafe url = strdup(server.addresses[0].url)
  }

  deinit { unsafe free(url) }

  // MARK: Running

  func start() throws(Failure) {
    do throws(ConfabError) { try server.start() } catch { throw Failure(error) }
    isStarted.store(true, ordering: .releasing)
  }

  func stop(deadline: Int64) throws(Failure) {
    guard (-1...86_400_000).contains(deadline) else {
      throw .argument("deadline_ms must be -1 to 86400000, not \(deadline)")
    }
    server.stop(within: deadline < 0 ? nil : .milliseconds(deadline))
  }

  /// Returns when every loop has ended.
  func wait() throws(Failure) {
    guard isStarted.load(ordering: .acquiring) else {
      throw Failure(CONFAB_ERROR_STATE, "the server has not been started")
    }
    try checkThread("wait for the server")
    let ended = DispatchSemaphore(value: 0)
    server.whenStopped { ended.signal() }
    ended.wait()
  }

  /// What has to be done before the program's reference is given back.
  func end() throws(Failure) {
    if isStarted.load(ordering: .acquiring) {
      try checkThread("destroy the server")
      try stop(deadline: -1)
      try wait()
    }
    log.end()
  }

  private func checkThread(_ what: String) throws(Failure) {
    guard let loop = server.loops.first(where: \.isCurrent) else { return }
    throw Failure(CONFAB_ERROR_THREAD, "the thread of loop \(loop.index) cannot \(what): it would wait for itself")
  }

  // MARK: Pointers

  /// The object of a handle, borrowed from the program.
  static func of(_ handle: OpaquePointer?) throws(Failure) -> Host {
    guard let handle = unsafe handle else { throw .argument("the server is NULL") }
    return unsafe Unmanaged<Host>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
  }

  var handle: OpaquePointer { unsafe OpaquePointer(Unmanaged.passUnretained(self).toOpaque()) }

  /// Gives the program its reference, which confab_destroy() takes back.
  func give(to target: UnsafeMutablePointer<OpaquePointer?>) {
    unsafe target.pointee = OpaquePointer(Unmanaged.passRetained(self).toOpaque())
  }
}

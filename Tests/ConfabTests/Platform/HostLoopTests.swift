import CLibwebsockets
import Confab
import ConfabTestSupport
import Foundation
import Synchronization
import Testing

/// A program with its own libuv loop, on its own thread.
@safe private final class Host: @unchecked Sendable {
  // @unchecked: the loop is used on the thread that runs it, or while it does not run.
  let loop: UnsafeMutablePointer<uv_loop_t>
  private let timer: UnsafeMutablePointer<uv_timer_t>
  let ticks = Atomic(0)

  init() {
    unsafe loop = UnsafeMutablePointer<uv_loop_t>.allocate(capacity: 1)
    unsafe timer = UnsafeMutablePointer<uv_timer_t>.allocate(capacity: 1)
    unsafe uv_loop_init(loop)
    unsafe uv_timer_init(loop, timer)
    unsafe timer.pointee.data = Unmanaged.passUnretained(self).toOpaque()
  }

  deinit {
    unsafe loop.deallocate()
    unsafe timer.deallocate()
  }

  /// Ticks each millisecond with a timer of the host, until `stop` returns true.
  func tick(until stop: @escaping @Sendable () -> Bool) {
    self.stop = stop
    unsafe uv_timer_start(
      timer,
      { handle in
        let host = unsafe Unmanaged<Host>.fromOpaque(handle!.pointee.data).takeUnretainedValue()
        host.ticks.add(1, ordering: .relaxed)
        guard host.stop() else { return }
        unsafe uv_timer_stop(handle)
        // The closure may refer to the host.
        host.stop = { true }
      }, 1, 1)
  }
  private var stop: @Sendable () -> Bool = { true }
  /// How long the loop was idle, if it is measured.
  private(set) var idleTime = Duration.zero

  /// Runs the loop until it has no handles left, and closes it.
  func run() {
    unsafe uv_run(loop, UV_RUN_DEFAULT)
    idleTime = unsafe .nanoseconds(Int(uv_metrics_idle_time(loop)))
    unsafe uv_close(UnsafeMutableRawPointer(timer).assumingMemoryBound(to: uv_handle_t.self), nil)
    unsafe uv_run(loop, UV_RUN_DEFAULT)
    #expect(unsafe uv_loop_close(loop) == 0, "a handle was left open")
  }
}

private final class Echo: Handler {
  func received(_ message: Message, from connection: Connection) { connection.send(message) }
}

/// Connections that have joined a log.
private final class Readers: Handler, @unchecked Sendable {
  // @unchecked: all is used on the thread of the host's loop.
  var log: BroadcastLog?
  var newest: Connection?
  var count = 0

  func opened(_ connection: Connection, request: borrowing Request) {
    if let log { connection.join(log) }
    newest = connection
  }
  func received(_ message: Message, from connection: Connection) {}
}

@Suite struct HostLoopTests {
  private let configuration = Configuration(host: "127.0.0.1", port: 0)

  @Test func serverRunsInTheHostsLoopBesideItsTimer() async throws {
    let host = Host()
    var configuration = configuration
    configuration.loops = 4
    let server = try unsafe Server(configuration, onUvLoop: UnsafeMutableRawPointer(host.loop)) { _ in Echo() }
    #expect(server.loops.count == 1)
    let hasStopped = Atomic(false)
    try server.start()
    server.whenStopped { hasStopped.store(true, ordering: .relaxed) }
    host.tick { hasStopped.load(ordering: .relaxed) }
    let running = onThread { host.run() }

    let clients = try (0..<10).map { _ in try RawClient(port: server.port) }
    for (number, client) in clients.enumerated() {
      for round in 0..<20 {
        try client.send("message \(round) of \(number)")
        #expect(try client.receive() == .text("message \(round) of \(number)"))
      }
    }
    // The host's timer continues meanwhile.
    let before = host.ticks.load(ordering: .relaxed)
    while host.ticks.load(ordering: .relaxed) < before + 5 { await Task.yield() }
    server.stop()
    for client in clients {
      #expect(try client.receive() == .close(1001, "the server is stopping"))
      try client.send(8, [0x03, 0xE9])
    }
    await running.wait()
    let isTold = hasStopped.load(ordering: .relaxed)
    #expect(isTold)
    #expect(throws: RawClient.Failure.self) { try RawClient(port: server.port) }
  }

  @Test func hostSleepsWhileTheServerIsIdle() async throws {
    let host = Host()
    host.measureIdleTime()
    let server = try unsafe Server(configuration, onUvLoop: UnsafeMutableRawPointer(host.loop)) { _ in Echo() }
    try server.start()
    let (ticked, continuation) = AsyncStream.makeStream(of: Never.self)
    host.tick {
      guard host.ticks.load(ordering: .relaxed) == 300 else { return false }
      continuation.finish()
      return true
    }
    let running = onThread { host.run() }
    await ticked.wait()
    // Jobs wake the loop without a timer of the host.
    await withCheckedContinuation { done in server.loops[0].execute { done.resume() } }
    server.stop()
    await running.wait()
    #expect(host.idleTime > .milliseconds(50))
  }

  @Test func messageOfTheHostIsWrittenInTheSameIteration() async throws {
    let host = Host()
    let (log, readers) = (BroadcastLog(), Readers())
    let server = try unsafe Server(configuration, onUvLoop: UnsafeMutableRawPointer(host.loop)) { _ in
      readers.log = log
      return readers
    }
    try server.start()
    let (ticked, continuation) = AsyncStream.makeStream(of: Never.self)
    host.tick {
      guard let reader = readers.newest else { return false }
      // Older messages, of 6 bytes each, have been written.
      #expect(reader.bufferedAmount <= 2 * 6)
      if readers.count == 20 {
        continuation.finish()
        return true
      }
      readers.count += 1
      log.append(Message(.text, Array("tick".utf8).span))
      #expect(reader.bufferedAmount > 0)
      return false
    }
    let running = onThread { host.run() }
    let client = try RawClient(port: server.port)
    for _ in 0..<20 { #expect(try client.receive() == .text("tick")) }
    await ticked.wait()
    server.stop(within: .zero)
    await running.wait()
  }

  @Test func unstartedServerLeavesNothingInTheLoop() throws {
    let host = Host()
    _ = try unsafe Server(configuration, onUvLoop: UnsafeMutableRawPointer(host.loop)) { _ in Echo() }
    host.run()
  }
}

extension Host {
  func measureIdleTime() { unsafe shim_measure_idle_time(loop) }
}

/// Runs `body` on a new thread. The returned stream ends with it.
private func onThread(_ body: @escaping @Sendable () -> Void) -> AsyncStream<Never> {
  let (end, continuation) = AsyncStream.makeStream(of: Never.self)
  Thread.detachNewThread {
    body()
    continuation.finish()
  }
  return end
}

extension AsyncStream<Never> {
  fileprivate func wait() async { for await _ in self {} }
}

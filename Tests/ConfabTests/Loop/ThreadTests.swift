import Foundation
import Synchronization
import Testing

@testable import Confab

/// Tests the threads of event loops, and forked processes without them.
@Suite(.serialized) struct ThreadTests {
  @Test func loopThreadHasNameAndBlocksProgramSignals() async throws {
    let server = try Server(twoLoops) { _ in Silent() }
    try server.start()
    for loop in server.loops {
      let (comm, status) = await onThread(of: loop) {
        (
          try? String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8),
          try? String(contentsOfFile: "/proc/thread-self/status", encoding: .utf8)
        )
      }
      #expect(comm == "confab-loop-\(loop.index)\n")
      let line = try #require(status?.split(separator: "\n").first { $0.hasPrefix("SigBlk:") })
      let blocked = try #require(UInt64(line.dropFirst(7).drop { !$0.isHexDigit }, radix: 16))
      for signal in [SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD, SIGPIPE] {
        #expect(blocked >> UInt64(signal - 1) & 1 == 1, "signal \(signal) is not blocked")
      }
      for signal in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGPROF] {
        #expect(blocked >> UInt64(signal - 1) & 1 == 0, "signal \(signal) is blocked")
      }
    }
    server.stop()
    await server.waitUntilStopped()
  }

  private var twoLoops: Configuration {
    var configuration = Configuration(port: 0)
    configuration.loops = 2
    return configuration
  }

  private func onThread<Value: Sendable>(of loop: EventLoop, _ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in loop.execute { continuation.resume(returning: body()) } }
  }

  @Test(arguments: [false, true]) func serverHasStoppedInChildOfFork(isStarted: Bool) async throws {
    let server = try Server(twoLoops) { _ in Silent() }
    if isStarted { try server.start() }
    let isStopped = Atomic(false)
    let child = try fork {
      do throws(ConfabError) { try server.start() } catch {
        guard error.code == .forked, error.message.contains("child of fork()") else { return 2 }
        do throws(ConfabError) { try server.reloadCertificate() } catch {
          guard error.code == .forked else { return 3 }
          if server.isReady || server.isRunning { return 4 }
          server.stop()
          server.whenStopped { isStopped.store(true, ordering: .relaxed) }
          guard isStopped.load(ordering: .relaxed) else { return 5 }
          if server.loops[0].execute({}) { return 6 }
          return server.statistics.accepted == 0 ? 0 : 7
        }
      }
      return 8
    }
    var status: Int32 = 0
    #expect(unsafe waitpid(child, &status, 0) == child)
    #expect(status == 0, "code \(status >> 8), signal \(status & 127)")
    // The parent continues.
    if !isStarted { try server.start() }
    #expect(server.isReady)
    #expect(server.loops[1].execute {})
    server.stop()
    await server.waitUntilStopped()
  }

  private struct Failure: Error {}

  /// Runs `body` in a child process and exits it with the result. A child that takes 20 s is killed. Swift hides the
  /// C function.
  private func fork(_ body: () -> Int32) throws -> pid_t {
    typealias Fork = @convention(c) () -> pid_t
    guard let symbol = unsafe dlsym(nil, "fork") else { throw Failure() }
    let child = unsafe unsafeBitCast(symbol, to: Fork.self)()
    guard child == 0 else { return child }
    alarm(20)
    _exit(body())
  }
}

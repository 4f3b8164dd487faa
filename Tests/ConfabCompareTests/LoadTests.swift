import CLoad
import Glibc
import Confab
import Logging
import Testing

@testable import ConfabCompare

/// Checks that the load generator detects faulty servers.
@Suite(.serialized) struct LoadTests {
  enum Fault: CaseIterable { case lost, twice, reordered, wrongBytes, wrongKind, cut, closed }

  @Test func aRightServerIsRight() async throws {
    let result = try await load(nil)
    #expect(result.ok == 1)
    #expect(result.deliveries > 0)
    #expect((result.lost, result.wrong, result.closed, result.disordered) == (0, 0, 0, 0))
    #expect(result.server_cpu > 0 && result.busiest_thread_cpu > 0 && result.rss_peak > 0)
    #expect(result.p50 > 0 && result.p50 <= result.p99)
  }

  @Test(arguments: Fault.allCases)
  func aWrongServerIsFoundOut(_ fault: Fault) async throws {
    let result = try await load(fault)
    #expect(result.ok == 0)
    switch fault {
    case .closed: #expect(result.closed > 0)
    case .lost: #expect(result.lost > 0)
    default: #expect(result.wrong > 0)
    }
  }

  private func load(_ fault: Fault?) async throws -> load_result {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    var configuration = Configuration(host: "127.0.0.1", port: 0, logger: logger)
    configuration.loops = 1
    configuration.stopTimeout = .zero
    let log = BroadcastLog()
    let server = try Server(configuration) { _ in FaultyChat(log, fault) }
    try server.start()
    var options = Scenario.fanout("", "", connections: 3, senders: 2, window: 2).load
    options.port = Int32(server.port)
    options.server = getpid()
    options.core = -1
    options.seconds = 0.2
    options.patience = 0.3
    let result = load_run(options)
    server.stop()
    await server.waitUntilStopped()
    return result
  }
}

/// A chat that mishandles the fifth message.
private final class FaultyChat: Handler {
  private let log: BroadcastLog
  private let fault: LoadTests.Fault?
  private var count = 0
  private var held: [UInt8]?

  init(_ log: BroadcastLog, _ fault: LoadTests.Fault?) { (self.log, self.fault) = (log, fault) }

  func opened(_ connection: Connection, request: Request) { connection.join(log) }

  func received(_ message: Message, from connection: Connection) {
    count += 1
    guard count == 5, let fault else {
      log.append(message)
      if let held { log.append(Message(.text, held.span)) }
      held = nil
      return
    }
    var bytes = Array(message)
    switch fault {
    case .lost: break
    case .twice:
      log.append(message)
      log.append(message)
    case .reordered: held = bytes
    case .wrongBytes:
      bytes[40] ^= 1
      log.append(Message(.text, bytes.span))
    case .wrongKind: log.append(Message(.binary, bytes.span))
    case .cut:
      bytes.removeLast()
      log.append(Message(.text, bytes.span))
    case .closed: connection.close(.goingAway)
    }
  }
}

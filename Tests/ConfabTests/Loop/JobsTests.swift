import Confab
import ConfabTestSupport
import Synchronization
import Testing

/// An actor on an event loop that calls its connections synchronously.
private actor Desk {
  nonisolated let loop: EventLoop
  private(set) var said: [String] = []

  init(_ loop: EventLoop) { self.loop = loop }

  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

  func say(_ text: String, to connection: Connection) {
    loop.preconditionIsolated()
    said.append(text)
    connection.send(text)
  }

  func note(_ text: String) -> Bool {
    said.append(text)
    return loop.isCurrent
  }

  func countConnections() -> Int { loop.connectionCount }
}

@Suite struct JobsTests {
  @Test func actorOnTheLoopCallsItsConnections() async throws {
    let (connections, continuation) = AsyncStream.makeStream(of: Connection.self)
    try await withServer(onOpen: { continuation.yield($0) }) { server, _ in
      let client = try RawClient(port: server.port)
      var opened = connections.makeAsyncIterator()
      let connection = try #require(await opened.next())
      let desk = Desk(server.loops[0])
      for number in 0..<10 { await desk.say("number \(number)", to: connection) }
      for number in 0..<10 { #expect(try client.receive() == .text("number \(number)")) }
      #expect(await desk.countConnections() == 1)
    }
  }

  @Test func taskMayPreferTheLoop() async throws {
    try await withServer { server, _ in
      let loop = server.loops[0]
      await Task(executorPreference: loop) { #expect(loop.isCurrent) }.value
      #expect(!loop.isCurrent)
    }
  }

  @Test func actorsOutliveTheirLoop() async throws {
    var desk: Desk?
    try await withServer { server, _ in
      desk = Desk(server.loops[0])
      #expect(await desk?.note("while it runs") == true)
    }
    let survivor = try #require(desk)
    #expect(!survivor.loop.execute {})
    await withTaskGroup(of: Bool.self) { group in
      for number in 0..<100 { group.addTask { await survivor.note("\(number)") } }
      for await isCurrent in group { #expect(isCurrent) }
    }
    #expect(await survivor.said.count == 101)
  }

  @Test func actorsOfALoopThatNeverRunsStillRun() async throws {
    var server: Server? = try Server(Configuration(host: "127.0.0.1", port: 0)) { _ in Silent() }
    let desk = Desk(server!.loops[0])
    async let isCurrent = desk.note("before the end")
    server = nil
    #expect(await isCurrent)
    #expect(await desk.note("after it"))
  }

  @Test func timedJobsRunInOrder() async throws {
    try await withServer { server, _ in
      let loop = server.loops[0]
      let order = Mutex<[Int]>([])
      let start = ContinuousClock.now
      await withCheckedContinuation { done in
        for time in [30, 10, 20, 10, 0] {
          loop.execute(after: .milliseconds(time)) {
            #expect(loop.isCurrent)
            #expect(ContinuousClock.now - start >= .milliseconds(time))
            order.withLock { $0.append(time) }
            if time == 30 { done.resume() }
          }
        }
      }
      #expect(order.withLock { $0 } == [0, 10, 10, 20, 30])
      // Any duration is accepted.
      await withCheckedContinuation { done in loop.execute(after: .seconds(-5)) { done.resume() } }
      for seconds in [Int64.max, 1 << 45] {
        #expect(loop.execute(after: .seconds(seconds)) { Issue.record("too early") })
      }
      // Jobs that are still pending at the end are released.
      #expect(loop.execute(after: .seconds(3600)) { Issue.record("too early") })
    }
  }
}

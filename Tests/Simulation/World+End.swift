import CSimulation
import Confab

/// The checks at the end of a world.
extension World {
  /// Has all clients read, and checks that each has received its messages. Then stops the servers, and checks that
  /// nothing is left.
  func finish() {
    trace("finish")
    // Some clients never read the close frame, others never answer it.
    if choose(2) == 0 { awaitCloseTimeout() }
    for client in clients { sim_set_capacity(client.socket, .max) }
    settle(within: 200 + rateDelay)
    if choose(2) == 0 { awaitCloseTimeout() } else { answerCloses() }
    for client in clients { check(client) }
    for loop in hosts.indices where !stopped.contains(loop) { stop(loop) }
    settle(within: 200)
    answerCloses()
    settle(within: 20_000)
    for client in clients where client.openedCount != client.closedCount {
      fail("client \(client.index): \(client.openedCount) times opened, \(client.closedCount) times closed")
    }
    for (loop, host) in hosts.enumerated() where !sim_is_empty(host) { fail("loop \(loop) has not ended") }
    tearDown()
  }

  /// The time in which the rate limit lets all messages of each client through, in milliseconds.
  private var rateDelay: UInt64 {
    guard shape.maxMessageRate > 0 else { return 0 }
    return UInt64((clients.map(\.sentCount).max() ?? 0) * 1000 / shape.maxMessageRate)
  }

  /// Waits for more than the close timeout. All connections that were closing have ended then.
  private func awaitCloseTimeout() {
    settle(within: 200)
    for client in clients {
      guard let connection = client.connection else { continue }
      nonisolated(unsafe) let client = client
      _ = connection.loop.execute { client.isFoundClosing = connection.readyState == .closing }
    }
    // The close frame is sent by a timer.
    settle(within: 10)
    let closing = clients.filter(\.isFoundClosing)
    wait(6000)
    settle(within: 200)
    for client in closing where client.openedCount > client.closedCount {
      fail("client \(client.index) is still closing after the close timeout")
    }
  }

  private func answerCloses() {
    for client in clients where client.received()?.closeCode != nil { close(by: client) }
    settle(within: 200 + rateDelay)
    for client in clients where client.hasSentClose && client.openedCount > client.closedCount {
      fail("client \(client.index) has answered the close frame, and its connection has not ended")
    }
  }

  private func check(_ client: Client) {
    // A client that was never open has only the response to its request.
    if client.openedCount == 0 { return }
    guard let (items, closeCode, isWhole) = client.received() else {
      return fail("client \(client.index) received invalid frames or changed messages")
    }
    let expected = client.expected
    trace("client \(client.index) should receive \(expected.map(\.item.id)), received \(items.map(\.id))")
    if let index = client.firstUnexpected(items) {
      return fail("client \(client.index): message \(index) is not an expected one")
    }
    if closeCode == 1013 {
      client.isOwedAll = false
      if client.mostUnread <= shape.maxBacklog && !shape.isShortOfMemory {
        fail("client \(client.index) was evicted, but never lagged by more than \(client.mostUnread) bytes")
      }
    }
    guard client.isOwedAll else { return }
    if !isWhole { fail("client \(client.index) received a part of a frame") }
    if items.count < expected.count { fail("client \(client.index) got \(items.count) of \(expected.count) messages") }
    if !client.isClosing && client.handledCount < client.sentCount {
      fail("client \(client.index): \(client.handledCount) of \(client.sentCount) messages were received")
    }
  }

  private func tearDown() {
    for client in clients { client.connection = nil }
    servers = servers.map { _ in nil }
    chat = nil
    for client in clients where client.weakConnection != nil { fail("connection \(client.index) is retained") }
    for (index, log) in logs.enumerated() where log.retained > 0 { fail("log \(index) retains \(log.retained) bytes") }
    for client in clients { sim_free(client.socket) }
    if fault == nil {
      if sim_open_handles() > 0 { fail("\(sim_open_handles()) handles were never closed") }
      for host in hosts {
        if uv_loop_close(host) != 0 { fail("a loop is not empty") }
        host.deallocate()
      }
    }
    World.current = nil
  }
}

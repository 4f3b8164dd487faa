import Confab
import ConfabTestSupport
import Synchronization
import Testing

/// Tests logs with members, over real sockets.
@Suite(.serialized) struct FanoutTests {
  @Test func everyMemberReceivesEveryMessageInOneOrder() async throws {
    for loops in [1, 3] {
      let log = BroadcastLog()
      try await withServer(
        { $0.loops = loops }, onOpen: { $0.join(log) },
        onMessage: { text, _ in
          log.append(Message(.text, Array(text.utf8).span))
        }
      ) { server, events in
        let clients = try (0..<9).map { _ in try RawClient(port: server.port) }
        for _ in clients { #expect(await events.next() == opened) }
        for round in 0..<20 {
          for (index, client) in clients.enumerated() { try client.send("\(index) \(round)") }
        }
        let received = try clients.map { client in
          try (0..<180).map { _ in String(decoding: try client.receiveMessage(), as: UTF8.self) }
        }
        for messages in received { #expect(messages == received[0]) }
        #expect(Set(received[0]).count == 180)
        for index in clients.indices {
          #expect(received[0].filter { $0.hasPrefix("\(index) ") } == (0..<20).map { "\(index) \($0)" })
        }
      }
      #expect(log.retained == 0)
    }
  }

  @Test func anyThreadMayAppend() async throws {
    let log = BroadcastLog()
    try await withServer(onOpen: { $0.join(log) }) { server, events in
      let client = try RawClient(port: server.port)
      #expect(await events.next() == opened)
      await withTaskGroup { group in
        for number in 0..<50 { group.addTask { log.append(Message(.text, Array("\(number)".utf8).span)) } }
      }
      let received = try (0..<50).map { _ in String(decoding: try client.receiveMessage(), as: UTF8.self) }
      #expect(Set(received) == Set((0..<50).map { "\($0)" }))
    }
  }

  @Test func sentMessagesKeepTheirOrderAmongBroadcasts() async throws {
    let log = BroadcastLog()
    // Enough bytes to fill the socket, so that the connection must continue by itself.
    try await withServer(
      { $0.sendBufferSize = 16_384 }, onOpen: { $0.join(log) },
      onMessage: { text, connection in
        let filler = [UInt8](repeating: 120, count: 50_000)
        for number in 0..<6 {
          log.append(Message(.text, Array("all \(number)".utf8).span))
          connection.send("one \(number)")
          log.append(Message(.binary, filler.span))
        }
        connection.leave()
        log.append(Message(.text, Array("not for those who left".utf8).span))
        connection.send("after")
      }
    ) { server, events in
      let client = try RawClient(port: server.port, receiveBuffer: 8192)
      try client.send("go")
      var received: [String] = []
      while received.last != "after" {
        let message = try client.receiveMessage()
        received.append(message.count == 50_000 ? "filler" : String(decoding: message, as: UTF8.self))
      }
      #expect(received == (0..<6).flatMap { ["all \($0)", "one \($0)", "filler"] } + ["after"])
    }
    #expect(log.retained == 0)
  }

  @Test func memberReceivesFromItsJoinOnWithinATurn() async throws {
    let log = BroadcastLog()
    try await withServer(onMessage: { _, connection in
      log.append(Message(.text, Array("before".utf8).span))
      connection.join(log)
      log.append(Message(.text, Array("after".utf8).span))
    }) { server, events in
      let first = try RawClient(port: server.port)
      try first.send("join")
      #expect(try first.receive() == .text("after"))
      let second = try RawClient(port: server.port)
      try second.send("join")
      #expect(try second.receive() == .text("after"))
      #expect(try first.receive() == .text("before"))
      #expect(try first.receive() == .text("after"))
    }
  }

  @Test func closeDeliversEarlierMessages() async throws {
    let log = BroadcastLog()
    try await withServer(
      { $0.sendBufferSize = 16_384 }, onOpen: { $0.join(log) },
      onMessage: { _, connection in
        log.append(Message(.binary, [UInt8](repeating: 1, count: 500_000).span))
        connection.close(.goingAway)
        log.append(Message(.text, Array("not for those who left".utf8).span))
      }
    ) { server, events in
      let client = try RawClient(port: server.port, receiveBuffer: 8192)
      try client.send("go")
      #expect(try client.receiveMessage().count == 500_000)
      #expect(try client.receive() == .close(1001))
    }
    #expect(log.retained == 0)
  }

  /// Leaving and closing keep no more for a stalled reader than the limit allows.
  @Test(arguments: [false, true])
  func stalledReaderGetsNoMoreByLeavingOrClosing(_ closes: Bool) async throws {
    let (log, other) = (BroadcastLog(), BroadcastLog())
    try await withServer(
      {
        $0.sendBufferSize = 16_384
        $0.maxBacklog = 300_000
        $0.stopTimeout = .zero
      }, onOpen: { $0.join(log) },
      onMessage: { text, connection in
        if text == "stall" {
          // The client does not read: the socket takes a part of this, the rest is pending.
          log.append(Message(.binary, [UInt8](repeating: 1, count: 250_000).span))
          connection.loop.execute {
            if closes { connection.close() } else { connection.join(other) }
          }
        } else {
          log.append(Message(.binary, [UInt8](repeating: 1, count: 200_000).span))
          other.append(Message(.binary, [UInt8](repeating: 1, count: 200_000).span))
        }
      }
    ) { server, events in
      let stalled = try RawClient(port: server.port, receiveBuffer: 8192)
      #expect(await events.next() == opened)
      try stalled.send("stall")
      #expect(await events.next() == .text("stall"))
      let speaker = try RawClient(port: server.port)
      #expect(await events.next() == opened)
      for _ in 0..<10 {
        try speaker.send("more")
        var event = await events.next()
        if case .closed = event { event = await events.next() }  // The stalled reader is closed first.
        #expect(event == .text("more"))
        #expect(try speaker.receiveMessage().count == 200_000)
      }
      #expect(log.retained + other.retained < 2 * (300_000 + 250_000))
    }
  }
}

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
        connection.leave(log)
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

  /// The client does not read before everything has been sent, so all of it is pending.
  @Test func sentMessagesKeepTheirOrderAmongTheMessagesOfSeveralLogs() async throws {
    let logs = (0..<3).map { _ in BroadcastLog() }
    try await withServer(
      { $0.sendBufferSize = 16_384 }, onOpen: { $0.join(logs[0]) },
      onMessage: { text, connection in
        let filler = [UInt8](repeating: 120, count: 50_000)
        logs[0].append(Message(.binary, filler.span))
        connection.send("first")
        for log in logs { #expect(connection.join(log)) }
        #expect(connection.logs.count == 3)
        for number in 0..<3 {
          for (index, log) in logs.enumerated() {
            log.append("log \(index) \(number)")
            log.append(Message(.binary, filler.span))
          }
          connection.send("one \(number)")
        }
        logs[1].append("before the leave")
        connection.leave(logs[1])
        logs[1].append("not for those who left")
        connection.send("left")
        logs[2].append("before the close")
        connection.close()
      }
    ) { server, events in
      let client = try RawClient(port: server.port, receiveBuffer: 8192)
      try client.send("go")
      var received: [String] = []
      while received.last != "before the close" {
        let message = try client.receiveMessage()
        if message.count < 50_000 { received.append(String(decoding: message, as: UTF8.self)) }
      }
      #expect(try client.receive() == .close(1000))
      let own = received.split { $0.hasPrefix("log ") || $0.hasPrefix("before ") }.flatMap(\.self)
      #expect(own == ["first", "one 0", "one 1", "one 2", "left"])
      #expect(received.suffix(3) == ["before the leave", "left", "before the close"])
      for number in 0..<3 {
        let texts = (0..<3).map { "log \($0) \(number)" }
        let part = received.split { $0.hasPrefix("one ") || $0 == "first" }[number]
        #expect(Set(part.prefix(3)) == Set(texts))
      }
    }
    for log in logs { #expect(log.retained == 0) }
  }

  @Test func logsOfASlowReaderAreReadInTurn() async throws {
    let logs = (0..<2).map { _ in BroadcastLog() }
    try await withServer(
      { $0.sendBufferSize = 16_384 }, onOpen: { for log in logs { $0.join(log) } },
      onMessage: { text, connection in
        for _ in 0..<20 { logs[0].append(Message(.binary, [UInt8](repeating: 1, count: 60_000).span)) }
        for number in 0..<3 { logs[1].append("\(number)") }
      }
    ) { server, events in
      let client = try RawClient(port: server.port, receiveBuffer: 8192)
      try client.send("go")
      var (sizes, texts) = ([Int](), [String]())
      while sizes.count < 20 {
        let message = try client.receiveMessage()
        if message.count == 60_000 {
          sizes.append(60_000)
        } else {
          texts.append(String(decoding: message, as: UTF8.self))
        }
        if sizes.count == 10 { #expect(texts == ["0", "1", "2"]) }
      }
    }
  }

  @Test func joinsOnlyAsManyLogsAsAllowed() async throws {
    let logs = (0..<4).map { _ in BroadcastLog() }
    try await withServer(
      { $0.maxRoomsPerConnection = 2 },
      onMessage: { _, connection in
        #expect(connection.join(logs[0]) && connection.join(logs[1]) && !connection.join(logs[2]))
        #expect(connection.join(logs[1]), "it reads the log already")
        connection.leave(logs[3])
        connection.leave(logs[0])
        #expect(connection.join(logs[2]))
        #expect(connection.logs.count == 2 && connection.logs.contains { $0 === logs[2] })
        for (index, log) in logs.enumerated() { log.append("\(index)") }
        connection.close()
        #expect(!connection.join(logs[3]))
      }
    ) { server, events in
      let client = try RawClient(port: server.port)
      try client.send("go")
      #expect(try Set([client.receiveMessage(), client.receiveMessage()]) == [Array("1".utf8), Array("2".utf8)])
      #expect(try client.receive() == .close(1000))
    }
  }

  /// A client is far behind if its logs together are.
  @Test func unreadMessagesOfAllLogsCountForTheBacklog() async throws {
    let logs = (0..<8).map { _ in BroadcastLog() }
    try await withServer(
      {
        $0.sendBufferSize = 16_384
        $0.maxBacklog = 500_000
      }, onOpen: { for log in logs { $0.join(log) } },
      onMessage: { text, connection in
        if text == "turn" {
          for log in logs { log.append(Message(.binary, [UInt8](repeating: 1, count: 20_000).span)) }
        }
      }
    ) { server, events in
      let stalled = try RawClient(port: server.port, receiveBuffer: 8192)
      #expect(await events.next() == opened)
      let speaker = try RawClient(port: server.port)
      #expect(await events.next() == opened)
      for round in 0..<20 {
        try speaker.send("turn")
        for _ in logs { #expect(try speaker.receiveMessage().count == 20_000) }
        if round == 2 { #expect(server.statistics.rejections.isEmpty) }
      }
      // Each log alone has 400,000 bytes.
      #expect(server.statistics.rejections == [.tooFarBehind: 1])
      _ = stalled
    }
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

  /// While the client has not answered the close frame, the log grows by more than the limit.
  @Test func closeFrameMayBeAnsweredLate() async throws {
    let log = BroadcastLog()
    try await withServer(
      {
        $0.maxBacklog = 300_000
        $0.closeTimeout = .seconds(60)
      }, onOpen: { $0.join(log) },
      onMessage: { text, connection in
        if text == "close" { return connection.close() }
        log.append(Message(.binary, [UInt8](repeating: 1, count: 200_000).span))
      }
    ) { server, events in
      let client = try RawClient(port: server.port)
      let speaker = try RawClient(port: server.port)
      for _ in 0..<2 { #expect(await events.next() == opened) }
      try client.send("close")
      #expect(await events.next() == .text("close"))
      #expect(try client.receive() == .close(1000))
      for _ in 0..<4 {
        try speaker.send("more")
        #expect(await events.next() == .text("more"))
        #expect(try speaker.receiveMessage().count == 200_000)
      }
      #expect(server.statistics.rejections.isEmpty)
      try client.send(8, [3, 232])
      #expect(await events.next() == .closed(Close(code: .normal, reason: "", isClean: true)))
    }
  }

  /// Leaving and closing keep no more for a stalled reader than the limit allows.
  @Test(arguments: [1, 2], [false, true])
  func stalledReaderGetsNoMoreByLeavingOrClosing(_ joined: Int, _ closes: Bool) async throws {
    let (log, other) = (BroadcastLog(), BroadcastLog())
    try await withServer(
      {
        $0.sendBufferSize = 16_384
        $0.maxBacklog = 300_000
        $0.stopTimeout = .zero
      },
      onOpen: {
        $0.join(log)
        if joined == 2 { $0.join(other) }
      },
      onMessage: { text, connection in
        if text == "stall" {
          // The client does not read: the socket takes a part of this, the rest is pending.
          log.append(Message(.binary, [UInt8](repeating: 1, count: 250_000).span))
          connection.loop.execute {
            if closes {
              connection.close()
            } else {
              connection.leave(log)
              connection.join(other)
            }
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
        for _ in 0..<joined { #expect(try speaker.receiveMessage().count == 200_000) }
      }
      #expect(log.retained + other.retained < 2 * (300_000 + 250_000))
    }
  }
}

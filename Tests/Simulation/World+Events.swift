import Confab
import CSimulation

/// The events that handlers report to the world.
extension World {
  fileprivate func opened(_ connection: Connection, _ request: borrowing Request) {
    let client = clients[Int(request[header: "user-agent"]!)!]
    trace("opened \(client.index)")
    let log = Int(request.path.dropFirst())
    client.openedCount += 1
    client.connection = connection
    client.weakConnection = connection
    if shape.isChat { client.logs = [0] } else if let log { join(client, connection, log) }
  }

  private func join(_ client: Client, _ connection: Connection, _ log: Int) {
    atomically {
      let hasRoom = client.logs.contains(log) || client.logs.count < shape.maxRoomsPerConnection
      if connection.join(logs[log]) != hasRoom { fail("client \(client.index): wrong result of join") }
      if hasRoom { client.logs.insert(log) }
    }
  }

  private func leave(_ client: Client, _ connection: Connection, _ log: Int) {
    atomically {
      client.logs.remove(log)
      connection.leave(logs[log])
      if connection.readyState != .open { client.close(owingAll: false) }
    }
  }

  /// Has a client join or leave a log, from a job of its loop.
  func changeLogsByExecuting(of client: Client, log: Int, joins: Bool) {
    guard let connection = client.connection else { return }
    nonisolated(unsafe) let client = client
    elsewhere {
      _ = connection.loop.execute { [self] in
        guard connection.readyState == .open else { return }
        trace("client \(client.index) \(joins ? "joins" : "leaves") log \(log) by a job")
        if joins { join(client, connection, log) } else { leave(client, connection, log) }
      }
    }
  }

  /// A client's message is an order to the server. The first byte is its kind.
  enum Order: UInt8 { case publish, send, leave, join, close, stop }

  fileprivate func received(_ bytes: [UInt8], from connection: Connection) {
    guard let client = client(of: connection) else { return fail("a message of a connection that is not open") }
    client.handledCount += 1
    guard let order = Order(rawValue: bytes[0]) else { return fail("a message that was not sent") }
    trace("order of client \(client.index): \(order)")
    let size = Int(bytes[2]) << 16 | Int(bytes[3]) << 8 | Int(bytes[4])
    switch order {
    case .publish: publish(to: Int(bytes[1]) % logs.count, size: size)
    case .send: send(to: client, connection, size: size)
    case .leave: leave(client, connection, Int(bytes[1]) % logs.count)
    case .join: join(client, connection, Int(bytes[1]) % logs.count)
    case .close:
      client.close(owingAll: true)
      client.closeDeadline = sim_now() + 5000
      connection.close()
    case .stop: stop(client.loop)
    }
  }

  /// In a chat each message is delivered to every member unchanged.
  fileprivate func said(_ bytes: [UInt8], by connection: Connection) {
    guard let client = client(of: connection) else { return fail("a message of a connection that is not open") }
    client.handledCount += 1
    trace("client \(client.index) sends a message")
    let id = bytes[..<4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    expect(Client.Item(id: id, size: bytes.count), in: 0)
  }

  fileprivate func drained(_ connection: Connection) {
    guard let client = client(of: connection) else { return fail("a drained connection that is not open") }
    whenDrained(client, connection)
  }

  fileprivate func closed(_ connection: Connection, _ close: Close) {
    guard let client = client(of: connection) else { return fail("a close without an open, or a second close") }
    client.closedCount += 1
    trace("closed \(client.index): \(close)")
    client.logs = []
    if !close.isClean, client.isOwedCloseFrame, !stopped.contains(client.loop) {
      fail("client \(client.index) was dropped during the closing handshake")
    }
    client.close(owingAll: false)
    // A client that does not read is dropped at its deadline, or when its backlog exceeds the limit.
    let isLate = client.closeDeadline.map { sim_now() >= $0 } ?? false
    let mayBeEvicted = shape.isShortOfMemory || client.mostUnread > shape.maxBacklog
    if !close.isClean && (isLate || mayBeEvicted) { client.isOwedAll = false }
    client.connection = nil
  }

  private func client(of connection: Connection) -> Client? { clients.first { $0.connection === connection } }
}

/// A handler that follows the clients' orders, or passes everything on to a chat's handler.
final class WorldHandler: Handler {
  private unowned let world: World
  private let chat: (any Handler)?

  init(_ world: World, _ chat: (any Handler)?) { (self.world, self.chat) = (world, chat) }

  func opened(_ connection: Connection, request: Request) {
    world.atomically {
      world.opened(connection, request)
      chat?.opened(connection, request: request)
    }
  }

  func received(_ message: Message, from connection: Connection) {
    guard let chat else { return world.received([UInt8](message), from: connection) }
    world.said([UInt8](message), by: connection)
    chat.received(message, from: connection)
  }

  func drained(_ connection: Connection) { world.drained(connection) }

  func closed(_ connection: Connection, _ close: Close) {
    chat?.closed(connection, close)
    world.closed(connection, close)
  }
}

import CSimulation
import Confab
import ConfabChat
import Logging

/// Servers with one event loop each that share logs, and their clients. Everything happens in ``step()`` and in calls
/// of this object, on one thread.
final class World: @unchecked Sendable {
  // @unchecked: the process has one thread.

  /// The parameters of a world.
  struct Shape {
    var loops = 2
    var logs = 2
    /// Whether the handlers are those of a chat, whose lobby is the only log.
    var isChat = false
    var maxBacklog = 1 << 20
    var sendsBacklogMark = 64 << 10
    var maxTurnDelivery = 4 << 20
    /// Messages per second from a client; 0 means no limit.
    var maxMessageRate = 0
  }

  /// A fault that was found.
  struct Fault: Error, CustomStringConvertible {
    let description: String
    /// The description without numbers.
    var kind: String { description.filter { !$0.isNumber } }
  }

  let shape: Shape
  var choices: Choices
  private(set) var clients: [Client] = []
  private var hosts: [UnsafeMutablePointer<uv_loop_t>] = []
  private var servers: [Server?] = []
  private var listeners: [Int32] = []
  private var logs: [BroadcastLog] = []
  private var chat: Chat?
  private var nextItem: UInt32 = 1
  private(set) var fault: Fault?
  /// The loops that are in the middle of a step, and whether other threads may not act now.
  private var running: [Int] = []
  private var isAtomic = false
  private var stopped: Set<Int> = []
  /// The actions of other threads within a turn, set by the runner of the world.
  var meanwhile: () -> Void = {}

  /// Whether every event is printed.
  nonisolated(unsafe) static var isTraced = false

  private func trace(_ event: @autoclosure () -> String) {
    if World.isTraced { print("\(sim_now())" + String(repeating: "  ", count: 1 + running.count) + event()) }
  }

  /// The world that the C side calls.
  nonisolated(unsafe) static var current: World?

  init(_ shape: Shape, _ choices: Choices) {
    (self.shape, self.choices) = (shape, choices)
    World.current = self
    sim_begin({ count in World.current!.choose(count) }, { World.current!.interleave() })
    logs = (0..<(shape.isChat ? 1 : shape.logs)).map { _ in BroadcastLog() }
    if shape.isChat { chat = Chat() }
    for loop in 0..<shape.loops {
      let host = UnsafeMutablePointer<uv_loop_t>.allocate(capacity: 1)
      _ = uv_loop_init(host)
      hosts.append(host)
      listeners.append(Listening.descriptor())
      servers.append(on(loop) { makeServer(loop) })
    }
  }

  private func makeServer(_ loop: Int) -> Server {
    var configuration = Configuration()
    configuration.listeningSockets = [listeners[loop]]
    configuration.maxBacklog = shape.maxBacklog
    configuration.backlogMark = shape.sendsBacklogMark
    configuration.maxTurnDelivery = shape.maxTurnDelivery
    configuration.maxMessageRate = shape.maxMessageRate
    configuration.limitsLoopback = shape.maxMessageRate > 0
    configuration.logger = Listening.logger
    do {
      let configuration = try chat?.configuration(from: configuration) ?? configuration
      let server = try Server(configuration, onUvLoop: UnsafeMutableRawPointer(hosts[loop])) { [unowned self] loop in
        WorldHandler(self, chat?.handler(on: loop))
      }
      try server.start()
      return server
    } catch {
      preconditionFailure("\(error)")
    }
  }

  func choose(_ count: UInt32) -> UInt32 { choices.next(count) }
  func choose(_ count: Int) -> Int { Int(choices.next(UInt32(count))) }

  func fail(_ description: String) { if fault == nil { fault = Fault(description: description) } }

  // MARK: Threads

  /// Runs `body` as the thread of a loop.
  private func on<Result>(_ loop: Int, _ body: () -> Result) -> Result {
    let thread = sim_thread()
    sim_enter_thread(UInt(100 + loop))
    defer { sim_enter_thread(thread) }
    return body()
  }

  /// Runs `body` as a thread that runs no loop.
  func elsewhere(_ body: () -> Void) {
    let thread = sim_thread()
    sim_enter_thread(1)
    body()
    sim_enter_thread(thread)
  }

  /// Runs `body` without interleaving other threads. Used where either order of two threads is right, to fix one.
  func atomically<Result>(_ body: () -> Result) -> Result {
    let before = isAtomic
    isAtomic = true
    defer { isAtomic = before }
    return body()
  }

  private func interleave() {
    guard !isAtomic, running.count == 1 else { return }
    meanwhile()
  }

  var loopsWithWork: [Int] { hosts.indices.filter { !running.contains($0) && sim_has_work(hosts[$0]) } }

  /// Runs one turn of a loop.
  func step(_ loop: Int) {
    trace("turn of loop \(loop)")
    running.append(loop)
    on(loop) { sim_step(hosts[loop]) }
    running.removeLast()
  }

  /// Runs all loops until none has work, without surprises. Timers that are due within `milliseconds` run as well.
  func settle(within milliseconds: UInt64 = 0) {
    atomically {
      var turns = 0
      let end = sim_now() + milliseconds
      while true {
        if let loop = loopsWithWork.first {
          step(loop)
          turns += 1
          if turns > 20_000 { return fail("loop \(loop) spins") }
        } else {
          let due = hosts.map { sim_next_timer($0) }.min() ?? .max
          guard due <= end, due > sim_now() else { return }
          sim_advance(due - sim_now())
        }
      }
    }
  }

  /// Advances the clock.
  func wait(_ milliseconds: Int) {
    trace("\(milliseconds) ms pass")
    sim_advance(UInt64(milliseconds))
  }

  // MARK: Actions of clients and threads

  func connect(to loop: Int, log: Int?, compresses: Bool) {
    trace(
      "client \(clients.count) connects to loop \(loop), log \(log.map(String.init) ?? "none"), compresses: \(compresses)"
    )
    let path = shape.isChat || log == nil ? "/" : "/\(log!)"
    let socket = sim_connect(listeners[loop], compresses, Listening.text(path), Listening.text("\(clients.count)"))!
    clients.append(Client(clients.count, loop: loop, socket))
  }

  /// Appends a message to a log, on the calling thread.
  func publish(to log: Int, size: Int) {
    let item = makeItem(size)
    trace("publish \(item.id) of \(item.size) to log \(log)")
    expect(item, in: log)
    logs[log].append(Message(.binary, Client.payload(item).span))
  }

  private func makeItem(_ size: Int) -> Client.Item {
    defer { nextItem += 1 }
    return Client.Item(id: nextItem, size: max(4, size))
  }

  private func expect(_ item: Client.Item, in log: Int) {
    for client in clients where client.log == log {
      if client.isClosing { client.fallBehind(item) } else { client.expect(item) }
    }
  }

  /// Sends something to a client by another thread, from the client's loop.
  func sendByExecuting(to client: Client, size: Int) {
    guard let connection = client.connection else { return }
    nonisolated(unsafe) let client = client
    elsewhere { _ = connection.loop.execute { [self] in send(to: client, connection, size: size) } }
  }

  /// Closes a client's connection by another thread, from the client's loop.
  func closeByExecuting(_ client: Client) {
    guard let connection = client.connection else { return }
    nonisolated(unsafe) let client = client
    elsewhere {
      _ = connection.loop.execute { [self] in
        guard connection.readyState == .open else { return }
        trace("close \(client.index)")
        client.close(owingAll: true)
        client.closeDeadline = sim_now() + 5000
        connection.close()
      }
    }
  }

  /// Stops a server.
  func stop(_ loop: Int, within timeout: Duration = .seconds(5)) {
    trace("stop \(loop) within \(timeout)")
    stopped.insert(loop)
    for client in clients where client.loop == loop { client.isOwedAll = false }
    elsewhere { servers[loop]?.stop(within: timeout) }
  }

  /// Sends a message to a client from its loop.
  fileprivate func send(to client: Client, _ connection: Connection, size: Int) {
    atomically {
      let item = makeItem(size)
      trace("send \(item.id) of \(item.size) to \(client.index)")
      let isOpen = connection.readyState == .open
      if connection.send(Message(.binary, Client.payload(item).span)) != .dropped {
        client.expect(item)
      } else if isOpen {
        // It was evicted, because this message would have exceeded its backlog limit.
        client.fallBehind(item)
        client.close(owingAll: false)
      }
    }
  }

  // MARK: Handler

  fileprivate func opened(_ connection: Connection, _ request: borrowing Request) {
    let client = clients[Int(request[header: "user-agent"]!)!]
    trace("opened \(client.index)")
    let log = Int(request.path.dropFirst())
    client.openedCount += 1
    client.connection = connection
    client.weakConnection = connection
    if shape.isChat { client.log = 0 } else if let log { join(client, connection, log) }
  }

  private func join(_ client: Client, _ connection: Connection, _ log: Int) {
    atomically {
      client.log = nil
      connection.join(logs[log])
      if connection.readyState == .open { client.log = log } else { client.close(owingAll: false) }
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
    case .leave:
      atomically {
        client.log = nil
        connection.leave()
        if connection.readyState != .open { client.close(owingAll: false) }
      }
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

  fileprivate func closed(_ connection: Connection, _ close: Close) {
    guard let client = client(of: connection) else { return fail("a close without an open, or a second close") }
    client.closedCount += 1
    trace("closed \(client.index): \(close)")
    client.log = nil
    client.close(owingAll: false)
    // A client that does not read is dropped at its deadline, or when its backlog exceeds the limit.
    let isLate = client.closeDeadline.map { sim_now() >= $0 } ?? false
    if !close.isClean && (isLate || client.mostUnread > shape.maxBacklog) { client.isOwedAll = false }
    client.connection = nil
  }

  private func client(of connection: Connection) -> Client? { clients.first { $0.connection === connection } }

  /// Limits how many bytes the kernel takes for a client.
  func limit(_ client: Client, to capacity: Int) {
    trace("client \(client.index) takes \(capacity) bytes")
    sim_set_capacity(client.socket, capacity)
  }

  /// Sends an order as a client.
  func order(_ order: Order, by client: Client, log: Int = 0, size: Int = 4) {
    guard !client.hasVanished, !client.hasSentClose, sim_is_answered(client.socket) else { return }
    let bytes: [UInt8]
    if shape.isChat {
      bytes = Client.payload(makeItem(size))
    } else {
      bytes = [order.rawValue, UInt8(log), UInt8(size >> 16), UInt8(size >> 8 & 255), UInt8(size & 255)]
    }
    client.sentCount += 1
    sim_send(client.socket, 2, true, bytes, bytes.count)
  }

  func ping(by client: Client) {
    trace("client \(client.index) pings")
    guard !client.hasVanished, !client.hasSentClose, sim_is_answered(client.socket) else { return }
    sim_send(client.socket, 9, true, nil, 0)
  }

  func close(by client: Client) {
    guard !client.hasVanished, !client.hasSentClose, sim_is_answered(client.socket) else { return }
    client.hasSentClose = true
    client.isOwedAll = false
    sim_send(client.socket, 8, true, [3, 232], 2)
  }

  func vanish(_ client: Client, byReset: Bool) {
    trace("client \(client.index) vanishes, by reset: \(byReset)")
    client.hasVanished = true
    client.isOwedAll = false
    sim_vanish(client.socket, byReset)
  }

  // MARK: The end

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
    trace("client \(client.index) should receive \(client.expected.map(\.id)), received \(items.map(\.id))")
    let expected = client.expected
    guard items.count <= expected.count, items.elementsEqual(expected[..<items.count]) else {
      let place = zip(items, expected).enumerated().first { $1.0 != $1.1 }?.offset ?? expected.count
      return fail("client \(client.index): message \(place) is not the expected one")
    }
    if closeCode == 1013 {
      client.isOwedAll = false
      if client.mostUnread <= shape.maxBacklog {
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

/// A handler that follows the clients' orders, or passes everything on to a chat's handler.
private final class WorldHandler: Handler {
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

  func closed(_ connection: Connection, _ close: Close) {
    chat?.closed(connection, close)
    world.closed(connection, close)
  }
}

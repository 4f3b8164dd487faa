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
    var maxRoomsPerConnection = 64
    var maxBacklog = 1 << 20
    /// Whether the memory for backlogs is short, so that clients are evicted that lag by less than the limit.
    var isShortOfMemory = false
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
  var hosts: [UnsafeMutablePointer<uv_loop_t>] = []
  var servers: [Server?] = []
  private var listeners: [Int32] = []
  var logs: [BroadcastLog] = []
  var chat: Chat?
  private var nextItem: UInt32 = 1
  private(set) var fault: Fault?
  /// The loops that are in the middle of a step, and whether other threads may not act now.
  private var running: [Int] = []
  private var isAtomic = false
  var stopped: Set<Int> = []
  /// The actions of other threads within a turn, set by the runner of the world.
  var meanwhile: () -> Void = {}
  /// Actions of handlers for a client whose backlog has been sent, set by the runner of the world.
  var whenDrained: (Client, Connection) -> Void = { _, _ in }

  /// Whether every event is printed.
  nonisolated(unsafe) static var isTraced = false

  func trace(_ event: @autoclosure () -> String) {
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
    // The servers close their descriptors: numbers must not be used again for other listeners.
    listeners = (0..<shape.loops).map { _ in Listening.descriptor() }
    for loop in 0..<shape.loops {
      let host = UnsafeMutablePointer<uv_loop_t>.allocate(capacity: 1)
      _ = uv_loop_init(host)
      hosts.append(host)
      servers.append(on(loop) { makeServer(loop) })
    }
  }

  private func makeServer(_ loop: Int) -> Server {
    var configuration = Configuration()
    configuration.listeningSockets = [listeners[loop]]
    configuration.maxRoomsPerConnection = shape.maxRoomsPerConnection
    configuration.maxBacklog = shape.maxBacklog
    if shape.isShortOfMemory { configuration.maxTotalBacklog = 150_000 }
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

  // MARK: Actions of the servers' threads

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

  func makeItem(_ size: Int) -> Client.Item {
    defer { nextItem += 1 }
    return Client.Item(id: nextItem, size: max(4, size))
  }

  func expect(_ item: Client.Item, in log: Int) {
    for client in clients where client.logs.contains(log) {
      if client.isClosing { client.fallBehind(item) } else { client.expect(item, in: log) }
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
  func send(to client: Client, _ connection: Connection, size: Int) {
    atomically {
      let item = makeItem(size)
      trace("send \(item.id) of \(item.size) to \(client.index)")
      let isOpen = connection.readyState == .open
      if connection.send(Message(.binary, Client.payload(item).span)) != .dropped {
        client.expect(item, in: nil)
      } else if isOpen {
        // It was evicted, because this message would have exceeded its backlog limit.
        client.fallBehind(item)
        client.close(owingAll: false)
      }
    }
  }

  // MARK: Actions of clients

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
}

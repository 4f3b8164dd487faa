import CSimulation

/// A world in which clients and threads follow a script, in order. Surprises decide how early or late each line runs;
/// without them, all loops become idle between two lines.
struct SmallWorld {
  enum Line {
    case connect(loop: Int, log: Int?)
    case order(World.Order, client: Int, log: Int = 0)
    /// Sent at once.
    case orders(client: Int, [(order: World.Order, log: Int, size: Int)])
    /// By a thread that runs no loop.
    case publish(log: Int, size: Int)
    /// By a thread that runs no loop, on the client's loop.
    case send(client: Int)
    case capacity(client: Int, Int)
    case ping(client: Int)
    case close(client: Int)
    case vanish(client: Int)
    case stop(loop: Int)
  }

  struct Script {
    let name: String
    let lines: [Line]
    var shape = World.Shape(loops: 2, logs: 1)
  }

  /// Two loops, three connections, four messages, full sockets.
  static let scripts = [
    Script(
      name: "join while others publish",
      lines: [
        .connect(loop: 0, log: 0), .publish(log: 0, size: 8), .connect(loop: 1, log: 0), .publish(log: 0, size: 8),
        .connect(loop: 1, log: 0), .publish(log: 0, size: 8), .publish(log: 0, size: 8),
      ]),
    Script(
      name: "full sockets",
      lines: [
        .connect(loop: 0, log: 0), .connect(loop: 1, log: 0), .capacity(client: 1, 5), .publish(log: 0, size: 8),
        .publish(log: 0, size: 70_000), .capacity(client: 1, 1 << 40), .connect(loop: 1, log: 0),
        .order(.publish, client: 0), .publish(log: 0, size: 8),
      ]),
    Script(
      name: "messages for one client",
      lines: [
        .connect(loop: 0, log: 0), .connect(loop: 1, log: 0), .publish(log: 0, size: 8), .send(client: 0),
        .order(.publish, client: 1), .order(.send, client: 0), .capacity(client: 0, 3), .publish(log: 0, size: 8),
        .send(client: 0), .capacity(client: 0, 1 << 40),
      ]),
    Script(
      name: "leave and join",
      lines: [
        .connect(loop: 0, log: 0), .connect(loop: 1, log: 0), .publish(log: 0, size: 8), .order(.leave, client: 0),
        .publish(log: 0, size: 8), .order(.join, client: 0), .publish(log: 0, size: 8), .order(.leave, client: 1),
        .order(.publish, client: 0),
      ]),
    Script(
      name: "several logs",
      lines: [
        .connect(loop: 0, log: 0), .order(.join, client: 0, log: 1), .publish(log: 0, size: 8), .capacity(client: 0, 3),
        .publish(log: 1, size: 8), .send(client: 0), .publish(log: 0, size: 8), .capacity(client: 0, 1 << 40),
        .order(.leave, client: 0, log: 1), .publish(log: 0, size: 8),
      ], shape: World.Shape(loops: 2, logs: 2)),
    Script(
      name: "close with several logs",
      lines: [
        .connect(loop: 0, log: 0), .connect(loop: 1, log: 1), .order(.join, client: 0, log: 1), .capacity(client: 0, 5),
        .publish(log: 1, size: 8), .publish(log: 0, size: 8), .order(.close, client: 0), .publish(log: 1, size: 8),
        .capacity(client: 0, 1 << 40),
      ], shape: World.Shape(loops: 2, logs: 2)),
    Script(
      name: "long messages with several logs",
      lines: [
        .connect(loop: 0, log: 0), .order(.join, client: 0, log: 1), .publish(log: 0, size: 70_000),
        .publish(log: 1, size: 8), .publish(log: 1, size: 70_000), .publish(log: 0, size: 8),
      ], shape: World.Shape(loops: 1, logs: 2, maxTurnDelivery: 1)),
    Script(
      name: "growth while several logs are written",
      lines: [
        .connect(loop: 0, log: 0), .order(.join, client: 0, log: 1), .publish(log: 0, size: 70_000),
        .publish(log: 1, size: 8), .publish(log: 0, size: 70_000), .publish(log: 1, size: 8),
      ], shape: World.Shape(loops: 1, logs: 2)),
    Script(
      name: "full sockets with several logs",
      lines: [
        .connect(loop: 0, log: 0), .order(.join, client: 0, log: 1), .capacity(client: 0, 20_000),
        .publish(log: 0, size: 70_000), .publish(log: 1, size: 8), .capacity(client: 0, 1 << 40),
        .publish(log: 1, size: 8),
      ], shape: World.Shape(loops: 1, logs: 2)),
    Script(
      name: "long backlogs with several logs",
      lines: [
        .connect(loop: 0, log: 0),
        .orders(
          client: 0,
          [(.join, 1, 0), (.publish, 0, 60_000), (.publish, 0, 60_000), (.publish, 1, 1_300_000)]),
      ], shape: World.Shape(loops: 1, logs: 2, maxTurnDelivery: 1)),
    Script(
      name: "close",
      lines: [
        .connect(loop: 0, log: 0), .connect(loop: 1, log: 0), .capacity(client: 0, 5), .publish(log: 0, size: 8),
        .order(.close, client: 0), .publish(log: 0, size: 8), .capacity(client: 0, 1 << 40), .close(client: 1),
        .connect(loop: 0, log: 0), .vanish(client: 2),
      ]),
    Script(
      name: "a close frame that is answered late",
      lines: [
        .connect(loop: 0, log: 0), .order(.close, client: 0), .publish(log: 0, size: 60_000),
        .publish(log: 0, size: 60_000), .publish(log: 0, size: 60_000), .close(client: 0),
      ], shape: World.Shape(loops: 1, logs: 1, maxBacklog: 100_000)),
    Script(
      name: "stop while a client connects",
      lines: [
        .connect(loop: 0, log: 0), .publish(log: 0, size: 8), .connect(loop: 0, log: 0), .stop(loop: 0),
        .connect(loop: 1, log: 0), .publish(log: 0, size: 8), .ping(client: 2), .stop(loop: 1),
      ]),
    Script(
      name: "a chat",
      lines: [
        .connect(loop: 0, log: 0), .connect(loop: 1, log: 0), .order(.publish, client: 0), .order(.publish, client: 1),
        .ping(client: 0), .connect(loop: 1, log: 0), .order(.publish, client: 0), .order(.publish, client: 2),
      ], shape: World.Shape(loops: 2, logs: 1, isChat: true)),
  ]

  let script: Script

  func run(_ choices: Choices) -> (fault: World.Fault?, choices: Choices) {
    let world = World(script.shape, choices)
    var (rest, turns) = (script.lines[...], 0)
    world.meanwhile = { [unowned world] in
      let line = rest.first.flatMap { $0.isOfThread ? $0 : nil }
      let loops = world.loopsWithWork
      let choice = world.choose(1 + loops.count + (line == nil ? 0 : 1))
      if choice == 0 { return }
      if choice <= loops.count { return world.step(loops[choice - 1]) }
      act(rest.removeFirst(), world)
    }
    while world.fault == nil {
      let loops = world.loopsWithWork
      if loops.isEmpty && rest.isEmpty { break }
      let choice = world.choose(loops.count + (rest.isEmpty ? 0 : 1))
      if choice < loops.count { world.step(loops[choice]) } else { act(rest.removeFirst(), world) }
      turns += 1
      if turns > 2000 { world.fail("a loop spins") }
    }
    if world.fault == nil { world.finish() }
    return (world.fault, world.choices)
  }

  private func act(_ line: Line, _ world: World) {
    func with(_ client: Int, _ body: (Client) -> Void) {
      if client < world.clients.count { body(world.clients[client]) }
    }
    switch line {
    case .connect(let loop, let log): world.connect(to: loop, log: log, compresses: false)
    case .order(let order, let client, let log): with(client) { world.order(order, by: $0, log: log, size: 8) }
    case .orders(let client, let orders):
      with(client) { for order in orders { world.order(order.order, by: $0, log: order.log, size: order.size) } }
    case .publish(let log, let size): world.elsewhere { world.publish(to: log, size: size) }
    case .send(let client): with(client) { world.sendByExecuting(to: $0, size: 8) }
    case .capacity(let client, let capacity): with(client) { world.limit($0, to: capacity) }
    case .ping(let client): with(client) { world.ping(by: $0) }
    case .close(let client): with(client) { world.close(by: $0) }
    case .vanish(let client): with(client) { world.vanish($0, byReset: true) }
    case .stop(let loop): world.stop(loop)
    }
  }
}

extension SmallWorld.Line {
  /// Whether another thread or the network can do it during a turn of a loop.
  fileprivate var isOfThread: Bool {
    switch self {
    case .publish, .send, .capacity, .stop: true
    default: false
    }
  }
}

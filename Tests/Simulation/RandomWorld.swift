import CSimulation

/// A world with random events.
struct RandomWorld {
  private let world: World
  /// Other threads act within a turn with a probability of 1 / `rarity` at each place.
  private let rarity: Int
  private let maxClients: Int
  private let turns: Int
  /// Whether a quarter of the messages are longer than a frame.
  private let hasLongMessages: Bool

  init(_ choices: Choices) {
    var choices = choices
    var shape = World.Shape()
    shape.loops = 1 + Int(choices.next(3))
    shape.logs = 1 + Int(choices.next(4))
    if choices.next(3) == 1 { shape.maxRoomsPerConnection = 2 }
    shape.isChat = choices.next(4) == 1
    if choices.next(3) == 1 { shape.maxBacklog = 100_000 }
    if choices.next(8) == 1 { shape.isShortOfMemory = true }
    if choices.next(2) == 1 { shape.sendsBacklogMark = 200 }
    if choices.next(3) == 1 { shape.maxTurnDelivery = 1 }
    if choices.next(4) == 1 { shape.maxMessageRate = 4 }
    hasLongMessages = choices.next(4) == 1
    rarity = [16, 4, 64][Int(choices.next(3))]
    maxClients = 1 + Int(choices.next(6))
    turns = 20 + 20 * Int(choices.next(8))
    world = World(shape, choices)
  }

  /// Runs the world. Returns the fault, if there is one, and the choices.
  func run() -> (fault: World.Fault?, choices: Choices) {
    world.whenDrained = { [unowned world] client, connection in
      if !world.shape.isChat && world.choose(4) == 3 { world.send(to: client, connection, size: size()) }
    }
    world.meanwhile = { [unowned world] in
      guard world.choose(rarity) == rarity - 1 else { return }
      actElsewhere(world)
    }
    for _ in 0..<turns where world.fault == nil {
      let loops = world.loopsWithWork
      if !loops.isEmpty && world.choose(3) > 0 {
        world.step(loops[world.choose(loops.count)])
      } else {
        act()
      }
    }
    if world.fault == nil { world.finish() }
    return (world.fault, world.choices)
  }

  private func act() {
    let clients = world.clients
    let action = world.choose(16)
    guard let client = clients.isEmpty ? nil : clients[world.choose(clients.count)], action > 2 else {
      if clients.count < maxClients {
        let log = world.choose(5) == 4 ? nil : world.choose(world.shape.logs)
        world.connect(to: world.choose(world.shape.loops), log: log, compresses: world.choose(3) == 2)
      } else {
        world.wait(1 + world.choose(40))
      }
      return
    }
    switch action {
    case 3, 4, 5, 6: world.order(.publish, by: client, log: world.choose(world.shape.logs), size: size())
    case 7: world.order(.send, by: client, size: size())
    case 8:
      world.order(world.choose(3) == 0 ? .leave : .join, by: client, log: world.choose(world.shape.logs))
    case 9: world.limit(client, to: [0, 10, 5000, 70_000, 1 << 40][world.choose(5)])
    case 10: if world.choose(3) == 0 { world.ping(by: client) } else { actElsewhere(world) }
    case 11: rare(client)
    default: actElsewhere(world)
    }
  }

  private func rare(_ client: Client) {
    switch world.choose(8) {
    case 0: world.vanish(client, byReset: false)
    case 1: world.vanish(client, byReset: true)
    case 2: world.close(by: client)
    case 3: world.order(.close, by: client)
    case 4: world.closeByExecuting(client)
    case 5: world.stop(world.choose(world.shape.loops), within: .seconds(world.choose(2) * 5))
    case 6: world.order(.stop, by: client)
    default: world.wait(6000)
    }
  }

  /// Returns a size: mostly small, sometimes more than a frame or a segment.
  private func size() -> Int {
    switch hasLongMessages ? 28 + world.choose(12) : world.choose(40) {
    case 0...29: 4 + world.choose(60)
    case 30...36: 130 + world.choose(300)
    case 37, 38: 16_380 + world.choose(10)
    default: 70_000 + world.choose(40_000)
    }
  }

  private func actElsewhere(_ world: World) {
    switch world.choose(9) {
    case 0...3:
      if !world.shape.isChat { world.elsewhere { world.publish(to: world.choose(world.shape.logs), size: size()) } }
    case 4:
      if let client = world.clients.randomChoice(world), !world.shape.isChat {
        world.changeLogsByExecuting(
          of: client, log: world.choose(world.shape.logs), joins: world.choose(2) == 0)
      }
    case 5, 6:
      if let client = world.clients.randomChoice(world) {
        if world.choose(2) == 0 {
          world.sendByExecuting(to: client, size: size())
        } else {
          world.limit(client, to: [1 << 40, 0, 300][world.choose(3)])
        }
      }
    default: if let loop = world.loopsWithWork.randomChoice(world) { world.step(loop) }
    }
  }
}

extension Array {
  fileprivate func randomChoice(_ world: World) -> Element? { isEmpty ? nil : self[world.choose(count)] }
}

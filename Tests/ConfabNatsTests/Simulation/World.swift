import ConfabChat

@testable import ConfabNats

/// Faults of a world.
struct Faults: OptionSet, CaseIterable {
  let rawValue: Int

  /// A server's connection breaks.
  static let cuts = Faults(rawValue: 1)
  /// Single messages are lost, which is possible between brokers.
  static let losses = Faults(rawValue: 2)
  static let brokerRestarts = Faults(rawValue: 4)
  /// The brokers have no majority for a while.
  static let noMajority = Faults(rawValue: 8)
  /// One server's broker loses contact to the remote.
  static let partitions = Faults(rawValue: 16)
  /// A disk is lost.
  static let newStreams = Faults(rawValue: 32)
  static let killedServers = Faults(rawValue: 64)
  /// A replica or a leader lags behind.
  static let lag = Faults(rawValue: 128)
  /// Requests get errors.
  static let errors = Faults(rawValue: 256)
  /// The stream deletes messages because of age or size.
  static let deletions = Faults(rawValue: 512)
  /// An older state of the broker is restored.
  static let olderStates = Faults(rawValue: 1024)
  /// Messages exceed the broker's maximum size.
  static let largeMessages = Faults(rawValue: 2048)

  static var allCases: [Faults] { (0..<12).map { Faults(rawValue: 1 << $0) } }
  static let all = Faults(allCases)
}

/// A chat's servers, its broker and their faults, determined by a seed.
final class World {
  let seed: UInt64
  let faults: Faults
  /// Duration of the period with faults.
  let trouble: Duration
  let options: JetStreamOptions
  /// Whether servers change restrictions.
  let isModerated: Bool
  /// Duplicate window of the stream: the minimum that the engine accepts, or the one that it requests.
  let duplicateWindow: Duration
  let timeline = Timeline()
  var chance: Chance
  private(set) var broker: SimulatedBroker!
  private(set) var servers: [SimulatedServer] = []
  private(set) var dead: [SimulatedServer] = []
  private(set) var failure: String?
  private(set) var traces: [String] = []
  /// Whether events are recorded.
  var isTraced = false
  private(set) var isTroubled = true
  private var cutUntil: [String: Duration] = [:]
  private var senderCount: UInt64 = 0
  /// Senders: their server, their room, and the number of their messages.
  private var senders: [(id: UInt64, server: SimulatedServer, room: SimulatedRoom, count: Int)] = []
  private let start = ContinuousClock.now
  private var serverCount = 0

  init(seed: UInt64, faults: Faults = .all, trouble: Duration? = nil, isModerated: Bool = false) {
    (self.seed, self.faults, self.isModerated) = (seed, faults, isModerated)
    chance = Chance(seed: seed)
    let length = chance.time(5...60)
    self.trouble = trouble ?? length
    var options = JetStreamOptions(urls: ["nats://broker"])
    options.maxMessageSize = 0
    options.maxMessagesPerRoom = chance.hits(0.5) ? 1000 : 5
    duplicateWindow = chance.hits(0.5) ? StreamConfig.duplicateWindow : .seconds(30)
    self.options = options
    broker = SimulatedBroker(self)
  }

  var instant: JetStreamState.Instant { start + timeline.now }
  var links: [SimulatedLink] { (servers + dead).map(\.link) }
  /// Whether to lose a message.
  var isUnlucky: Bool { isTroubled && faults.contains(.losses) && chance.hits(0.02) }

  func isCut(_ server: SimulatedServer) -> Bool { cutUntil[server.name].map { $0 > timeline.now } ?? false }

  func trace(_ text: @autoclosure () -> String) { if isTraced { traces.append("\(timeline.now): \(text())") } }

  func require(_ condition: Bool, _ text: @autoclosure () -> String) { if !condition { fail(text()) } }

  func fail(_ text: String) {
    trace("FAILURE: \(text)")
    if failure == nil { failure = "\(text), at \(timeline.now)" }
  }

  // MARK: Running

  /// Runs the world to its end, and returns its failure.
  func run() -> String? {
    defer { end() }
    for _ in 0..<Int.random(in: 1...3, using: &chance) { addServer() }
    tick()
    act()
    if isModerated { moderate() }
    timeline.run(until: trouble) { failure == nil }
    isTroubled = false
    trace("no more trouble")
    if !broker.isUp { broker.start(anew: false) }
    if !broker.hasMajority { broker.findMajority() }
    heal()
    cutUntil = [:]
    broker.modesty = 0
    tidyRestrictions()
    timeline.run(until: trouble + .seconds(35)) { failure == nil }
    if failure == nil { checkRest() }
    if failure == nil && isModerated { checkRestrictions() }
    return failure
  }

  /// Releases the parts of the world, which refer to each other.
  func end() {
    timeline.end()
    for server in servers + dead { server.release() }
    (servers, dead, senders, broker) = ([], [], [], nil)
  }

  private func addServer() {
    serverCount += 1
    servers.append(SimulatedServer(self, "s\(serverCount)"))
  }

  private func tick() {
    broker.tick()
    timeline.schedule(after: .milliseconds(500)) { [self] in tick() }
  }

  /// Performs a random action: a message, a join, a leave, or a fault.
  private func act() {
    guard isTroubled else { return }
    let server = chance.pick(servers)!
    switch Int.random(in: 0..<100, using: &chance) {
    case ..<15: _ = server.open(["tea", "mate"].randomElement(using: &chance)!)
    case ..<18: if let room = chance.pick(server.sortedRooms) { close(room, server) }
    case ..<25:
      if let room = chance.pick(server.sortedRooms) {
        room.people = Int.random(in: 0...3, using: &chance)
        room.version += 1
        server.take(.presenceChanged(room.number))
      }
    case ..<32:
      if let room = chance.pick(server.sortedRooms), room.isOpen {
        senderCount += 1
        senders.append((senderCount, server, room, 0))
      }
    case ..<85: for _ in 0..<Int.random(in: 1...3, using: &chance) { say() }
    default: goWrong(server)
    }
    timeline.schedule(after: chance.time(0...0.5)) { [self] in act() }
  }

  private func say() {
    guard let index = senders.indices.randomElement(using: &chance) else { return }
    let (id, server, room, count) = senders[index]
    if room.isClosed || server.isOver { return _ = senders.remove(at: index) }
    senders[index].count += 1
    let isLarge = faults.contains(.largeMessages) && chance.hits(0.02)
    let text = "\(id):\(count)" + (isLarge ? ":" + String(repeating: "x", count: broker.maxPayload) : "")
    let tag = id % 2 == 0 ? "tag-\(id)-\(count)" : nil
    // Other programs may send changes of other rooms' messages.
    let changed = chance.hits(0.1) ? server.sortedRooms.randomElement(using: &chance) : room
    if chance.hits(0.1), let target = changed?.anyMessage() {
      let entry = chance.hits(0.5) ? EntryKind.removal(of: target) : .edit(of: target)
      return server.say(text, entry, of: id, tag: tag, in: room)
    }
    server.say(text, of: id, tag: tag, in: room)
  }

  private func close(_ room: SimulatedRoom, _ server: SimulatedServer) { server.close(room.name) }

  private func goWrong(_ server: SimulatedServer) {
    guard let fault = chance.pick(Faults.allCases.filter(faults.contains)) else { return }
    switch fault {
    case .cuts: cut(server)
    case .brokerRestarts, .newStreams, .olderStates:
      // Disks are lost less often.
      guard broker.isUp, fault == .brokerRestarts || chance.hits(0.3) else { return }
      broker.stop()
      if fault == .olderStates { broker.putBack() }
      timeline.schedule(after: chance.time(0.1...5)) { [self] in
        if !broker.isUp { broker.start(anew: fault == .newStreams) }
      }
    case .noMajority: loseMajority()
    case .partitions:
      guard !links.contains(where: \.isOfMinority) else { return }
      trace("\(server.name) is of a minority")
      server.link.isOfMinority = true
      timeline.schedule(after: outage(longest: 15)) { [self] in heal() }
    case .killedServers:
      guard servers.count > 1 || chance.hits(0.2), let index = servers.firstIndex(where: { $0 === server }) else {
        return
      }
      server.kill()
      dead.append(server)
      servers.remove(at: index)
      addServer()
    case .deletions: broker.deleteOldest()
    case .lag: broker.modesty = Int.random(in: 0...3, using: &chance)
    default: break
    }
  }

  /// Returns a random outage. Some are longer than the stream's duplicate window.
  private func outage(longest: Double) -> Duration { chance.time(chance.hits(0.25) ? 30...45 : 0.1...longest) }

  func cut(_ server: SimulatedServer) {
    cutUntil[server.name] = timeline.now + outage(longest: 2)
    server.link.cut()
  }

  func loseMajority() {
    guard broker.isUp, broker.hasMajority else { return }
    broker.loseMajority()
    timeline.schedule(after: outage(longest: 12)) { [self] in if !broker.hasMajority { broker.findMajority() } }
  }

  /// Whether to cause a fault at the worst moment.
  func isWorst(for fault: Faults) -> Bool { isTroubled && faults.contains(fault) && chance.hits(0.01) }

  private func heal() {
    trace("the minority returns")
    for link in links { link.isOfMinority = false }
    broker.forgetMinority()
  }

  // MARK: Final checks

  /// Checks the state after a while without faults.
  private func checkRest() {
    for server in servers {
      let state = server.state
      require(state.phase == .ready && state.isAvailable, "\(server.name) is not available")
      require(state.publishQueue.isEmpty, "\(server.name) has \(state.publishQueue.messages.count) messages")
      require(state.rooms.count == server.rooms.count, "\(server.name) has kept \(state.rooms.count) rooms")
      require(
        state.caughtUp.isEmpty && state.requested.isEmpty,
        "\(server.name) opens \(state.requested), has read \(state.caughtUp)"
      )
      for room in server.sortedRooms {
        require(room.isOpen, "\(server.name) has not opened \(room.name)")
        require(room.isOfNewestStream, "\(server.name)'s \(room.name) belongs to an old stream")
        require(room.isUpToDate, "\(server.name)'s \(room.name) has stopped at \(room.last)")
        require(room.isAvailable, "\(server.name)'s \(room.name) is not available")
        let remote = servers.compactMap { other -> (String, Int)? in
          guard other !== server, let there = other.rooms[room.name], there.people > 0 else { return nil }
          return (other.instance, there.people)
        }
        require(
          room.remote == Dictionary(uniqueKeysWithValues: remote),
          "\(server.name) is wrong about who is in \(room.name)")
      }
      require(server.tooLarge.isEmpty, "\(server.name) has not rejected \(server.tooLarge.count) messages")
      for text in server.given {
        require(broker.hasStored(Array(text.utf8)), "\(text), given to \(server.name), is lost")
      }
    }
    for server in servers { require(server.state.erasures.isEmpty, "\(server.name) has not erased everything") }
    for subject in Set(servers.flatMap { $0.rooms.values.map(\.subject) }).sorted() { checkErased(subject) }
    let rooms = servers.reduce(0) { $0 + $1.rooms.count }
    require(broker.consumerCount == rooms, "there are \(broker.consumerCount) consumers for \(rooms) rooms")
    for stream in broker.streams { checkOrder(stream) }
  }

  /// Checks that nothing that was removed or edited is left in an open room.
  private func checkErased(_ subject: String) {
    guard let stream = broker.streams.last else { return }
    let messages = stream.kept(subject)
    for message in messages where !stream.erased.contains(message.number) {
      let eraser = messages.first { other in
        if other.removes == message.number { return other.number > message.number }
        guard let target = message.target, other.target == target else { return false }
        return other.number > message.number || other.removes != nil && other.number < message.number
      }
      require(
        eraser == nil || message.removes != nil,
        "\(message.number) is still in the stream, though \(eraser?.number ?? 0) changes \(eraser?.target ?? 0)")
    }
  }

  /// Checks that each sender's messages are there once and in order.
  private func checkOrder(_ stream: SimulatedStream) {
    var counts: [Substring: Int] = [:]
    let messages = stream.rooms.values.joined().sorted { $0.number < $1.number }
    for message in messages where !message.isAgain {
      let parts = String(decoding: message.bytes, as: UTF8.self).split(separator: ":")
      let count = Int(parts[1])!
      require(count > counts[parts[0]] ?? -1, "\(parts[0]):\(count) comes after \(counts[parts[0]] ?? -1)")
      counts[parts[0]] = count
    }
  }
}

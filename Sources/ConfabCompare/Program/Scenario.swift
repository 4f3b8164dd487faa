import CLoad

/// One workload, which every server gets.
struct Scenario {
  let name: String
  let title: String
  var load: load_options

  private init(_ name: String, _ title: String, _ load: load_options) {
    (self.name, self.title, self.load) = (name, title, load)
  }

  static func fanout(
    _ name: String, _ title: String, connections: Int, senders: Int, window: Int, size: Int = 64, rate: Double = 0,
    stalled: Int = 0
  ) -> Scenario {
    var load = load_options()
    load.mode = LOAD_FANOUT
    load.connections = Int32(connections)
    load.senders = Int32(senders)
    load.window = Int32(window)
    load.size = Int32(size)
    load.rate = rate
    load.stalled = Int32(stalled)
    load.patience = 10
    return Scenario(name, title, load)
  }

  static func connect(_ name: String, _ title: String, atATime: Int) -> Scenario {
    var load = load_options()
    load.mode = LOAD_CONNECT
    load.connections = Int32(atATime)
    load.size = 64
    return Scenario(name, title, load)
  }

  /// The default scenarios.
  static let all: [Scenario] = [
    .fanout("echo", "1 connection, 64 in flight", connections: 1, senders: 1, window: 64),
    .fanout("room", "100 connections, 16 in flight", connections: 100, senders: 1, window: 16),
    .fanout("hall", "1,000 connections, 10 senders", connections: 1000, senders: 10, window: 1),
    .fanout("hall-1k", "1,000 connections, 1 KiB messages", connections: 1000, senders: 10, window: 1, size: 1024),
    .fanout("room-16k", "100 connections, 16 KiB messages", connections: 100, senders: 4, window: 1, size: 16_384),
    .fanout("pace-100", "100 connections, 300 messages/s", connections: 100, senders: 1, window: 0, rate: 300),
    .fanout("pace-1000", "1,000 connections, 50 messages/s", connections: 1000, senders: 10, window: 0, rate: 50),
    .fanout(
      "pace-16k", "100 connections, 200 messages/s of 16 KiB", connections: 100, senders: 1, window: 0, size: 16_384,
      rate: 200),
    .fanout(
      "stalled-200", "100 connections, and 200 that never read", connections: 100, senders: 1, window: 0, size: 16_384,
      rate: 200, stalled: 200),
    .fanout(
      "stalled-1000", "100 connections, and 1,000 that never read", connections: 100, senders: 1, window: 0,
      size: 16_384,
      rate: 200, stalled: 1000),
    .fanout("15k", "15,000 connections, 10 senders", connections: 15_000, senders: 10, window: 1),
    .connect("connect", "connect, send, receive, close", atATime: 8),
    .fanout("idle", "15,000 idle connections", connections: 15_000, senders: 1, window: 0),
  ]

  var isIdle: Bool { load.mode == LOAD_FANOUT && load.window == 0 && load.rate == 0 }
  var isPaced: Bool { load.rate > 0 }
}

/// The result of one server in one scenario and round.
struct Measurement: Codable {
  var server: String
  var scenario: String
  var round: Int
  /// Whether every message was delivered once, in order and unchanged.
  var isRight: Bool
  var lost, wrong, closed: Int
  /// Deliveries, or connections made, per second.
  var perSecond: Double
  /// CPU time of the server in microseconds per delivery or connection. In an idle scenario, per connection made.
  var cpu: Double
  /// CPU time of the server's busiest thread, in the same unit. Its inverse is the rate that the server could reach
  /// with a core for each thread.
  var busiestThread: Double
  /// CPU time of the load generator, in the same unit.
  var loadCPU: Double
  /// Time from sending to delivery, in microseconds.
  var p50, p99: Double
  /// Resident memory of the server in bytes per idle connection.
  var memory: Double
  /// Maximum growth of the memory under load, in bytes.
  var growth: Double
  /// Whether all clients received the messages in one order.
  var isOneOrder: Bool

  init(server: String, scenario: Scenario, round: Int, _ result: load_result) {
    (self.server, self.scenario, self.round) = (server, scenario.name, round)
    isRight = result.ok != 0
    (lost, wrong, closed) = (Int(result.lost), Int(result.wrong), Int(result.closed))
    let events = Double(scenario.load.mode == LOAD_CONNECT ? result.cycles : result.deliveries)
    perSecond = result.seconds > 0 ? events / result.seconds : 0
    cpu = scenario.isIdle ? result.connect_cpu * 1e6 : result.server_cpu / max(events, 1) * 1e6
    busiestThread = result.busiest_thread_cpu / max(events, 1) * 1e6
    loadCPU = result.own_cpu / max(events, 1) * 1e6
    (p50, p99) = (result.p50, result.p99)
    memory = (result.rss_connected - result.rss_before) / Double(scenario.load.connections + scenario.load.stalled)
    growth = result.rss_peak - result.rss_connected
    isOneOrder = result.disordered == 0
  }
}

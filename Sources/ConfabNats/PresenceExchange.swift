internal import Confab
internal import ConfabChat
internal import DequeModule

/// Exchange of presence with the other servers. Each server publishes changes, and its full state every few seconds. A
/// server counts as gone if no report arrives from it for ``serverTimeout``. Presence uses core NATS, not a stream.
struct PresenceExchange {
  typealias Instant = ContinuousClock.Instant

  /// Maximum interval between a server's reports.
  static let interval = Duration.seconds(3)
  /// Time without a report after which a server's members are removed.
  static let serverTimeout = Duration.seconds(10)
  /// Maximum number of other servers in a room, and maximum bytes of a server's name. Messages of further servers are
  /// ignored.
  private static let (maxServers, maxServerName) = (100, 64)
  /// Time that other servers have to report a room's members before it opens.
  static let reportTime = Duration.milliseconds(50)

  private struct PresenceRoom {
    let subject: String
    let delegate: any RoomDelegate
    /// Version of the last report.
    var version = -1
    var report: [UInt8] = []
    var reportedAt: Instant?
    /// Whether the last report was empty, so that it need not be repeated.
    var isVacant = false
    /// Time of the last message from each server.
    var receivedAt: [String: Instant] = [:]
    var requestedAt: Instant?
  }

  /// A message between servers.
  struct PresenceMessage: Codable {
    let server: String
    var presence: ServerPresence?
    /// Whether the other servers should report their members.
    var asks: Bool?
    /// Name of a user who is typing.
    var typing: String?

    // // Names in the JSON that servers exchange.
    private enum CodingKeys: String, CodingKey {
      case server, asks, typing
      case presence = "attendance"
    }
  }

  private let server: String
  private let prefix: String
  private var rooms: [Int: PresenceRoom] = [:]
  private var numbers: [String: Int] = [:]
  /// Rooms whose members on other servers have not been requested yet.
  private var unrequested: [Int] = []
  /// Rooms with changes to report.
  private var changed: Set<Int> = []
  /// Rooms with reports, oldest first. A report is repeated after a while unless a newer one follows.
  private var reports: Deque<(number: Int, at: Instant)> = []
  /// Servers with reports, oldest first. A server is removed after a while unless a newer report follows.
  private var arrivals: Deque<(number: Int, server: String, at: Instant)> = []

  init(_ server: String, prefix: String) { (self.server, self.prefix) = (server, "\(prefix).presence.") }

  mutating func open(_ number: Int, _ token: String, _ delegate: any RoomDelegate, _ effects: inout Effects) {
    rooms[number] = PresenceRoom(subject: prefix + token, delegate: delegate)
    numbers[prefix + token] = number
    unrequested.append(number)
    changed.insert(number)
  }

  /// Records that the members of a room have changed.
  mutating func changed(_ number: Int) {
    if rooms[number] != nil { changed.insert(number) }
  }

  mutating func close(_ number: Int, _ effects: inout Effects) {
    guard let room = rooms.removeValue(forKey: number) else { return }
    // The room may have been opened again.
    if numbers[room.subject] == number {
      numbers[room.subject] = nil
      effects.actions.append(.unsubscribe(room.subject))
    }
    if room.reportedAt != nil && !room.isVacant {
      send(PresenceMessage(server: server, presence: ServerPresence.none), room.subject, &effects)
    }
  }

  /// Handles a new connection: the members of all rooms are requested again.
  mutating func connected(_ now: Instant) {
    unrequested = rooms.keys.sorted()
    for number in unrequested {
      // Reports that were missed during the disconnection do not count against a server.
      for server in rooms[number]!.receivedAt.keys.sorted() { noteReport(server, in: number, now) }
    }
  }

  /// Returns whether the other servers have had time to report the members of a room.
  func hasRequested(_ number: Int, _ now: Instant) -> Bool {
    rooms[number]?.requestedAt.map { now - $0 >= PresenceExchange.reportTime } ?? false
  }

  /// Requests the members of rooms that have been opened.
  mutating func requestReports(_ now: Instant, _ effects: inout Effects) {
    for number in unrequested {
      guard let room = rooms[number] else { continue }
      rooms[number]?.requestedAt = now
      effects.actions.append(.subscribe(room.subject))
      send(PresenceMessage(server: server, asks: true), room.subject, &effects)
    }
    unrequested = []
  }

  /// Repeats reports and removes servers that are gone. Called several times per second. The cost grows with the number
  /// of rooms with changes.
  mutating func tick(_ now: Instant, _ effects: inout Effects) {
    for number in changed.sorted() {
      if let room = rooms[number] {
        effects.calls.append(.queryPresence(room.delegate, number, unless: room.version))
      }
    }
    changed = []
    while let first = reports.first, now - first.at > PresenceExchange.interval {
      reports.removeFirst()
      guard let room = rooms[first.number], room.reportedAt == first.at, !room.isVacant else { continue }
      rooms[first.number]?.reportedAt = now
      reports.append((first.number, now))
      effects.publish(room.subject, bytes: room.report)
    }
    while let first = arrivals.first, now - first.at > PresenceExchange.serverTimeout {
      arrivals.removeFirst()
      guard let room = rooms[first.number], room.receivedAt[first.server] == first.at else { continue }
      rooms[first.number]?.receivedAt[first.server] = nil
      effects.calls.append(.remotePresence(room.delegate, first.server, .none))
    }
  }

  private mutating func noteReport(_ server: String, in number: Int, _ now: Instant) {
    rooms[number]?.receivedAt[server] = now
    arrivals.append((number, server, now))
  }

  /// Reports the members of a room.
  mutating func report(
    _ number: Int, _ presence: ServerPresence, _ version: Int, _ now: Instant, _ effects: inout Effects
  ) {
    guard var room = rooms[number] else { return }
    (room.version, room.reportedAt, room.isVacant) = (version, now, presence == .none)
    room.report = Api.encode(PresenceMessage(server: server, presence: presence))
    rooms[number] = room
    if !room.isVacant { reports.append((number, now)) }
    effects.publish(room.subject, bytes: room.report)
  }

  func typing(_ number: Int, _ name: String, _ effects: inout Effects) {
    if let room = rooms[number] { send(PresenceMessage(server: server, typing: name), room.subject, &effects) }
  }

  private func send(_ message: PresenceMessage, _ subject: String, _ effects: inout Effects) {
    effects.publish(subject, bytes: Api.encode(message))
  }

  /// Handles a message if its subject is one for presence. Returns whether it is.
  mutating func received(_ message: NatsMessage, _ now: Instant, _ effects: inout Effects) -> Bool {
    guard message.subject.begins(with: prefix) else { return false }
    guard let number = numbers[message.subject], let room = rooms[number],
      let message = try? Json.decode(PresenceMessage.self, from: message.bytes),
      message.server != server, message.server.utf8.count <= PresenceExchange.maxServerName,
      room.receivedAt[message.server] != nil || room.receivedAt.count < PresenceExchange.maxServers
    else { return true }
    if let presence = message.presence {
      if presence == .none {
        rooms[number]?.receivedAt[message.server] = nil
      } else {
        noteReport(message.server, in: number, now)
      }
      effects.calls.append(.remotePresence(room.delegate, message.server, presence))
    }
    if message.asks == true {
      if room.report.isEmpty || changed.contains(number) {
        effects.calls.append(.queryPresence(room.delegate, number, unless: -1))
      } else {
        effects.publish(room.subject, bytes: room.report)
      }
    }
    if let name = message.typing { effects.calls.append(.typed(room.delegate, name)) }
    return true
  }
}

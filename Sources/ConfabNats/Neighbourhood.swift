internal import Confab
internal import ConfabChat
internal import FoundationEssentials

/// Presence of all servers. Each server publishes changes, and its full state every few seconds. It counts as gone if
/// nothing arrives from it for a while. Presence uses core NATS, not a stream.
struct Neighbourhood {
  typealias Instant = ContinuousClock.Instant

  /// Maximum interval between a server's reports.
  static let interval = Duration.seconds(3)
  /// Time without a report after which a server's members are removed.
  static let patience = Duration.seconds(10)
  /// Maximum number of other servers in a room, and maximum bytes of a server's name. Messages of further servers are
  /// ignored.
  private static let (maxServers, maxServerName) = (100, 64)
  /// Time that other servers have to report a room's members before it opens.
  static let courtesy = Duration.milliseconds(50)

  private struct Room {
    let subject: String
    let sink: any RoomSink
    /// Version of the last report.
    var version = -1
    var told: [UInt8] = []
    var toldAt: Instant?
    /// Whether the last report was empty, so that no repetition is needed.
    var isVacant = false
    /// Time of the last message from each server.
    var heardAt: [String: Instant] = [:]
    var askedAt: Instant?
  }

  /// A message between servers.
  struct Message: Codable {
    let server: String
    var attendance: Attendance?
    /// Whether the other servers should report their members.
    var asks: Bool?
    /// Name of a user who is typing.
    var typing: String?
  }

  private let server: String
  private let prefix: String
  private var rooms: [Int: Room] = [:]
  private var numbers: [String: Int] = [:]
  /// Rooms whose members on other servers have not been requested yet.
  private var unasked: [Int] = []
  /// Rooms with changes to report.
  private var changed: Set<Int> = []
  /// Rooms with reports, oldest first. A report is repeated after a while unless a newer one follows.
  private var told: ArraySlice<(number: Int, at: Instant)> = []
  /// Servers with reports, oldest first. A server is removed after a while unless a newer report follows.
  private var heard: ArraySlice<(number: Int, server: String, at: Instant)> = []

  init(_ server: String, prefix: String) { (self.server, self.prefix) = (server, "\(prefix).presence.") }

  mutating func open(_ number: Int, _ token: String, _ sink: any RoomSink, _ effects: inout Effects) {
    rooms[number] = Room(subject: prefix + token, sink: sink)
    numbers[prefix + token] = number
    unasked.append(number)
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
    if room.toldAt != nil && !room.isVacant {
      tell(Message(server: server, attendance: Attendance.none), room.subject, &effects)
    }
  }

  /// Handles a new connection: the members of all rooms are requested again.
  mutating func connected(_ now: Instant) {
    unasked = rooms.keys.sorted()
    for number in unasked {
      // Reports that were missed during the disconnection do not count against a server.
      for server in rooms[number]!.heardAt.keys.sorted() { hear(server, in: number, now) }
    }
  }

  /// Whether the other servers have had time to answer.
  func hasAsked(_ number: Int, _ now: Instant) -> Bool {
    rooms[number]?.askedAt.map { now - $0 >= Neighbourhood.courtesy } ?? false
  }

  /// Requests the members of rooms that have been opened.
  mutating func ask(_ now: Instant, _ effects: inout Effects) {
    for number in unasked {
      guard let room = rooms[number] else { continue }
      rooms[number]?.askedAt = now
      effects.actions.append(.subscribe(room.subject))
      tell(Message(server: server, asks: true), room.subject, &effects)
    }
    unasked = []
  }

  /// Repeats reports and removes servers that are gone. Called several times per second. The cost grows with the number
  /// of rooms with changes.
  mutating func tick(_ now: Instant, _ effects: inout Effects) {
    for number in changed.sorted() {
      if let room = rooms[number] {
        effects.calls.append(.attendance(room.sink, number, unless: room.version))
      }
    }
    changed = []
    while let first = told.first, now - first.at > Neighbourhood.interval {
      told.removeFirst()
      guard let room = rooms[first.number], room.toldAt == first.at, !room.isVacant else { continue }
      rooms[first.number]?.toldAt = now
      told.append((first.number, now))
      effects.publish(room.subject, bytes: room.told)
    }
    while let first = heard.first, now - first.at > Neighbourhood.patience {
      heard.removeFirst()
      guard let room = rooms[first.number], room.heardAt[first.server] == first.at else { continue }
      rooms[first.number]?.heardAt[first.server] = nil
      effects.calls.append(.attended(room.sink, first.server, .none))
    }
  }

  private mutating func hear(_ server: String, in number: Int, _ now: Instant) {
    rooms[number]?.heardAt[server] = now
    heard.append((number, server, now))
  }

  /// Reports the members of a room.
  mutating func tell(_ number: Int, _ attendance: Attendance, _ version: Int, _ now: Instant, _ effects: inout Effects)
  {
    guard var room = rooms[number] else { return }
    (room.version, room.toldAt, room.isVacant) = (version, now, attendance == .none)
    room.told = Api.encode(Message(server: server, attendance: attendance))
    rooms[number] = room
    if !room.isVacant { told.append((number, now)) }
    effects.publish(room.subject, bytes: room.told)
  }

  func typing(_ number: Int, _ name: String, _ effects: inout Effects) {
    if let room = rooms[number] { tell(Message(server: server, typing: name), room.subject, &effects) }
  }

  private func tell(_ message: Message, _ subject: String, _ effects: inout Effects) {
    effects.publish(subject, bytes: Api.encode(message))
  }

  /// Whether it is a message from another server.
  mutating func received(_ message: NatsMessage, _ now: Instant, _ effects: inout Effects) -> Bool {
    guard message.subject.begins(with: prefix) else { return false }
    guard let number = numbers[message.subject], let room = rooms[number],
      let said = try? JSONDecoder().decode(Message.self, from: Data(message.bytes)), said.server != server,
      said.server.utf8.count <= Neighbourhood.maxServerName,
      room.heardAt[said.server] != nil || room.heardAt.count < Neighbourhood.maxServers
    else { return true }
    if let attendance = said.attendance {
      if attendance == .none { rooms[number]?.heardAt[said.server] = nil } else { hear(said.server, in: number, now) }
      effects.calls.append(.attended(room.sink, said.server, attendance))
    }
    if said.asks == true {
      if room.told.isEmpty || changed.contains(number) {
        effects.calls.append(.attendance(room.sink, number, unless: -1))
      } else {
        effects.publish(room.subject, bytes: room.told)
      }
    }
    if let name = said.typing { effects.calls.append(.typed(room.sink, name)) }
    return true
  }
}

internal import Confab
internal import ConfabChat
internal import FoundationEssentials

/// Who is in the rooms on which server: each server tells what has changed, and every few seconds all, and is taken for
/// gone when nothing has come from it for a while. It goes by NATS alone, not by a stream.
struct Neighbourhood {
  typealias Instant = ContinuousClock.Instant

  /// A server tells at least so often who is there …
  static let interval = Duration.seconds(3)
  /// … and when it has not for so long, nobody is.
  static let patience = Duration.seconds(10)
  /// Maximum number of other servers in a room, and of bytes of their names. Messages of more are ignored.
  private static let (maxServers, maxServerName) = (100, 64)
  /// How long the others have to tell who is in a room before it opens.
  static let courtesy = Duration.milliseconds(50)

  private struct Room {
    let subject: String
    let sink: any RoomSink
    /// What has been told last, encoded, and when.
    var version = -1
    var told: [UInt8] = []
    var toldAt: Instant?
    /// Whether that was that nobody is there: then there is no more to tell.
    var isVacant = false
    /// When each server has told something.
    var heardAt: [String: Instant] = [:]
    var askedAt: Instant?
  }

  /// What servers say to each other.
  struct Message: Codable {
    let server: String
    var attendance: Attendance?
    /// Whether the others are to tell who is there.
    var asks: Bool?
    /// Who is writing.
    var typing: String?
  }

  private let server: String
  private let prefix: String
  private var rooms: [Int: Room] = [:]
  private var numbers: [String: Int] = [:]
  /// Rooms in which the others have not been asked.
  private var unasked: [Int] = []
  /// Rooms in which there is something to tell.
  private var changed: Set<Int> = []
  /// Rooms in which something has been told, oldest first, to be told again after a while unless it has been meanwhile.
  private var told: ArraySlice<(number: Int, at: Instant)> = []
  /// Whom something has been heard of, oldest first, to be taken for gone after a while unless more has been meanwhile.
  private var heard: ArraySlice<(number: Int, server: String, at: Instant)> = []

  init(_ server: String, prefix: String) { (self.server, self.prefix) = (server, "\(prefix).presence.") }

  mutating func open(_ number: Int, _ token: String, _ sink: any RoomSink, _ effects: inout Effects) {
    rooms[number] = Room(subject: prefix + token, sink: sink)
    numbers[prefix + token] = number
    unasked.append(number)
    changed.insert(number)
  }

  /// Somebody has come to a room, or has gone.
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

  /// The connection is another one: all rooms are to be asked for again.
  mutating func connected(_ now: Instant) {
    unasked = rooms.keys.sorted()
    for number in unasked {
      // What they were not heard of in the meantime is not their fault.
      for server in rooms[number]!.heardAt.keys.sorted() { hear(server, in: number, now) }
    }
  }

  /// Whether the others have had their time.
  func hasAsked(_ number: Int, _ now: Instant) -> Bool {
    rooms[number]?.askedAt.map { now - $0 >= Neighbourhood.courtesy } ?? false
  }

  /// Asks in rooms that have been opened.
  mutating func ask(_ now: Instant, _ effects: inout Effects) {
    for number in unasked {
      guard let room = rooms[number] else { continue }
      rooms[number]?.askedAt = now
      effects.actions.append(.subscribe(room.subject))
      tell(Message(server: server, asks: true), room.subject, &effects)
    }
    unasked = []
  }

  /// Several times a second. The work grows with the rooms that there is news of.
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

  /// Tells who is in a room now.
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

  /// Whether it is something that another server has said.
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

import ConfabChat

@testable import ConfabNats

/// The history of a stream. ``SimulatedBroker/streams`` has one for each creation of the stream, and one for each
/// restoration of an older state.
struct SimulatedStream {
  struct Stored {
    let number: Int
    /// Unique time at which it was stored.
    let at: Int
    let headers: [String: String]
    let bytes: [UInt8]
    /// Whether it was sent again after the stream had deleted it and forgotten its id.
    let isAgain: Bool

    /// Number of the earlier message that it changes; nil if it is a message.
    var target: Int? { removes ?? earlier("Confab-Edit") }
    /// Number of the earlier message that it removes.
    var removes: Int? { earlier("Confab-Removal") }

    private func earlier(_ header: String) -> Int? {
      headers[header].flatMap { Int($0) }.flatMap { $0 < number ? $0 : nil }
    }

    /// Whether a publication is this message. A message that was lost with a state of the stream may be stored again
    /// with the same number and text, but at another time.
    func matches(_ publication: Publication) -> Bool {
      publication.position == Position(offset: number, time: Int64(at / 1_000_000)) && publication.draft.bytes == bytes
    }
  }

  let created: String
  var last = 0
  /// Messages of each room by subject, including deleted ones.
  var rooms: [String: [Stored]] = [:]
  /// Number of deleted messages of each room, which are the oldest ones.
  var deleted: [String: Int] = [:]
  var contents: Set<[UInt8]> = []
  /// Numbers of the messages that servers have deleted.
  var erased: Set<Int> = []
  /// Time and number of each stored `Nats-Msg-Id`.
  var ids: [String: (number: Int, at: Duration)] = [:]

  /// Returns the messages of a room that are not deleted.
  func kept(_ subject: String) -> ArraySlice<Stored> { (rooms[subject] ?? []).dropFirst(deleted[subject] ?? 0) }
  /// Returns the messages that a replica has whose newest number is `view`, with the deletions that it knows of.
  func kept(_ subject: String, upTo view: Int, limit: Int) -> ArraySlice<Stored> {
    if view == .max { return kept(subject) }
    let known = (rooms[subject] ?? []).prefix { $0.number <= view }
    return known.dropFirst(min(deleted[subject] ?? 0, max(0, known.count - limit)))
  }
  /// Number of the oldest stored message.
  func first(upTo view: Int = .max, limit: Int = .max) -> Int {
    rooms.keys.compactMap { kept($0, upTo: view, limit: limit).first { !erased.contains($0.number) }?.number }.min()
      ?? min(last, view) + 1
  }

  /// Returns the state when `last` was the newest number.
  func restored(to last: Int, limit: Int) -> SimulatedStream {
    var older = self
    older.last = last
    older.rooms = rooms.mapValues { $0.filter { $0.number <= last } }
    for (subject, count) in deleted {
      // Messages that were deleted later are stored again.
      older.deleted[subject] = min(count, max(0, (older.rooms[subject]?.count ?? 0) - limit))
    }
    older.erased = erased.filter { $0 <= last }
    older.ids = ids.filter { $0.value.number <= last }
    return older
  }

  /// Deletes the oldest messages of a room that match, and are before the index `end`.
  mutating func delete(_ subject: String, before end: Int, where isTooMuch: (Stored) -> Bool) {
    let messages = rooms[subject] ?? []
    var count = deleted[subject] ?? 0
    while count < min(messages.count, end), isTooMuch(messages[count]) { count += 1 }
    deleted[subject] = count
  }

  /// Stores a message, and returns its number. `time` is a unique time.
  mutating func append(_ message: NatsMessage, time: Int, now: Duration) -> Int {
    last += 1
    let gone = (rooms[message.subject] ?? []).prefix(deleted[message.subject] ?? 0)
    let stored = Stored(
      number: last, at: time, headers: message.headers, bytes: message.bytes,
      isAgain: gone.contains { $0.bytes == message.bytes })
    rooms[message.subject, default: []].append(stored)
    contents.insert(message.bytes)
    ids[message.headers[Delivery.idHeader]!] = (last, now)
    return last
  }

  /// Returns the subject of the message with a number; nil if there is none.
  func subject(of number: Int) -> String? {
    if erased.contains(number) { return nil }
    return rooms.keys.first { room in kept(room).contains { $0.number == number } }
  }

  /// Whether an entry of the room edits or removes the message, or another one that the message changes, too.
  func changes(_ number: Int, in subject: String) -> Bool {
    let messages = rooms[subject] ?? []
    let target = messages.first { $0.number == number }?.target
    return messages.contains { $0.removes == number || $0.target == target && target != nil && $0.number != number }
  }
}

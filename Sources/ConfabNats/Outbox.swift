internal import ConfabChat

/// Messages without an acknowledgement. At most one message of each sender is in flight, which keeps their order even
/// if some are sent again.
struct Outbox {
  typealias Instant = ContinuousClock.Instant

  struct Message {
    let room: Int
    let subject: String
    /// Identifier by which the stream recognises a message that is sent again.
    let id: String
    let post: Post
    let sender: Sender?
    let senderID: UInt64
    /// Time of the last attempt.
    var sentAt: Instant?
    var firstSentAt: Instant?

    func isOlder(than duration: Duration, _ now: Instant) -> Bool { firstSentAt.map { now - $0 > duration } ?? false }
  }

  /// Messages by their number.
  private(set) var messages: [Int: Message] = [:]
  private var numbers: [String: Int] = [:]
  /// Queue of each sender, oldest first. Some entries may be settled already.
  private var queues: [UInt64: ArraySlice<Int>] = [:]
  /// Senders whose oldest message is ready to be sent.
  private var waiting: Set<UInt64> = []
  private var parked: [Int: Set<UInt64>] = [:]
  private var onTheWay: Set<Int> = []
  private var next = 0

  var isEmpty: Bool { messages.isEmpty }

  mutating func append(_ message: Message) {
    next += 1
    let sender = message.senderID
    messages[next] = message
    numbers[message.id] = next
    queues[sender, default: []].append(next)
    if queues[sender]?.first == next { waiting.insert(sender) }
  }

  /// Takes the messages to send now: of senders with none in flight, in rooms for which `isOpen` is true. Senders in
  /// other rooms are checked again after ``wake(room:)``.
  mutating func take(now: Instant, isOpen: (Int) -> Bool) -> [(number: Int, message: Message)] {
    var taken: [(Int, Message)] = []
    for sender in exchange(&waiting, with: []).sorted() {
      guard let number = queues[sender]?.first, var message = messages[number], !onTheWay.contains(number) else {
        continue
      }
      guard isOpen(message.room) else {
        parked[message.room, default: []].insert(sender)
        continue
      }
      message.sentAt = now
      if message.firstSentAt == nil { message.firstSentAt = now }
      messages[number] = message
      onTheWay.insert(number)
      taken.append((number, message))
    }
    return taken
  }

  /// Checks the senders of a room again, because it may be open.
  mutating func wake(room: Int) {
    if let senders = parked.removeValue(forKey: room) { waiting.formUnion(senders) }
  }

  /// Schedules a message to be sent again.
  mutating func putBack(_ number: Int) {
    guard onTheWay.remove(number) != nil, let message = messages[number] else { return }
    messages[number]?.sentAt = nil
    waiting.insert(message.senderID)
  }

  /// Changes the time at which a message counts as sent.
  mutating func hurry(_ number: Int, to instant: Instant) { messages[number]?.sentAt = instant }

  mutating func putBackAll() { for number in onTheWay { putBack(number) } }

  /// Removes a message that is stored or was rejected. The sender's next one may then be sent.
  mutating func settle(_ number: Int) -> Message? {
    guard let message = messages.removeValue(forKey: number) else { return nil }
    if numbers[message.id] == number { numbers[message.id] = nil }
    onTheWay.remove(number)
    let sender = message.senderID
    guard queues[sender]?.first == number else { return message }
    while let first = queues[sender]?.first, messages[first] == nil { queues[sender]?.removeFirst() }
    if queues[sender]?.isEmpty == true {
      queues[sender] = nil
      waiting.remove(sender)
    } else {
      waiting.insert(sender)
    }
    return message
  }

  mutating func settle(id: String) -> Message? { numbers[id].flatMap { settle($0) } }

  /// Returns the messages in flight for longer than `patience`.
  func overdue(_ patience: Duration, now: Instant) -> [Int] {
    onTheWay.filter { messages[$0]?.sentAt.map { now - $0 > patience } == true }.sorted()
  }

  /// Returns the age of the oldest message in flight.
  func age(now: Instant) -> Duration {
    onTheWay.compactMap { messages[$0]?.firstSentAt.map { now - $0 } }.max() ?? .zero
  }
}

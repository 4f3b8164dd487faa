internal import ConfabChat

/// What has not been acknowledged yet: of each sender one message at a time is on its way, so that its order is kept
/// whatever has to be sent again.
struct Outbox {
  typealias Instant = ContinuousClock.Instant

  struct Message {
    let room: Int
    let subject: String
    /// By which the stream knows it for the same one when it is sent again.
    let id: String
    let post: Post
    let sender: Sender?
    let senderID: UInt64
    /// When it was sent last, and first.
    var sentAt: Instant?
    var firstSentAt: Instant?

    func isOlder(than duration: Duration, _ now: Instant) -> Bool { firstSentAt.map { now - $0 > duration } ?? false }
  }

  /// By their number.
  private(set) var messages: [Int: Message] = [:]
  private var numbers: [String: Int] = [:]
  /// Of each sender, the oldest one first; among them some that are settled.
  private var queues: [UInt64: ArraySlice<Int>] = [:]
  /// Senders whose oldest message is to be sent, and those among them whose room was not open, by that.
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

  /// Those to be sent now, of senders that have none on the way, in rooms that `isOpen` tells of. Senders in other rooms
  /// are looked at again when ``wake(room:)`` says so.
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

  /// A room may be open now.
  mutating func wake(room: Int) {
    if let senders = parked.removeValue(forKey: room) { waiting.formUnion(senders) }
  }

  /// Is to be sent again.
  mutating func putBack(_ number: Int) {
    guard onTheWay.remove(number) != nil, let message = messages[number] else { return }
    messages[number]?.sentAt = nil
    waiting.insert(message.senderID)
  }

  /// Has it taken for sent at another time.
  mutating func hurry(_ number: Int, to instant: Instant) { messages[number]?.sentAt = instant }

  mutating func putBackAll() { for number in onTheWay { putBack(number) } }

  /// It is in the stream, or never will be: the sender's next one may go.
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

  /// Those that have waited for an acknowledgement for longer.
  func overdue(_ patience: Duration, now: Instant) -> [Int] {
    onTheWay.filter { messages[$0]?.sentAt.map { now - $0 > patience } == true }.sorted()
  }

  /// For how long the oldest one has been on its way.
  func age(now: Instant) -> Duration {
    onTheWay.compactMap { messages[$0]?.firstSentAt.map { now - $0 } }.max() ?? .zero
  }
}

internal import ConfabChat
internal import DequeModule

/// Messages without an acknowledgement. At most one message of each publisher is in flight. So the messages of a
/// publisher keep their order even if some are sent again.
struct PublishQueue {
  typealias Instant = ContinuousClock.Instant

  /// Messages by their number.
  private(set) var messages: [Int: PendingDraft] = [:]
  private var numbers: [String: Int] = [:]
  /// Queue of each publisher, oldest first. Some entries may be settled already.
  private var queues: [UInt64: Deque<Int>] = [:]
  /// Publishers whose oldest message is ready to be sent.
  private var ready: Set<UInt64> = []
  private var blocked: [Int: Set<UInt64>] = [:]
  private var inFlight: Set<Int> = []
  private var next = 0

  var isEmpty: Bool { messages.isEmpty }

  mutating func append(_ message: PendingDraft) {
    next += 1
    let publisher = message.publisherID
    messages[next] = message
    numbers[message.id] = next
    queues[publisher, default: []].append(next)
    if queues[publisher]?.first == next { ready.insert(publisher) }
  }

  /// Returns the messages to send now: the oldest message of each publisher without a message in flight, if `isOpen` is
  /// true for its room. Publishers in other rooms are checked again after ``wake(room:)``.
  mutating func take(now: Instant, isOpen: (Int) -> Bool) -> [(number: Int, message: PendingDraft)] {
    var taken: [(Int, PendingDraft)] = []
    for publisher in exchange(&ready, with: []).sorted() {
      guard let number = queues[publisher]?.first, var message = messages[number], !inFlight.contains(number) else {
        continue
      }
      guard isOpen(message.room) else {
        blocked[message.room, default: []].insert(publisher)
        continue
      }
      message.sentAt = now
      if message.firstSentAt == nil { message.firstSentAt = now }
      messages[number] = message
      inFlight.insert(number)
      taken.append((number, message))
    }
    return taken
  }

  /// Checks the publishers of a room again, because it may be open.
  mutating func wake(room: Int) {
    if let publishers = blocked.removeValue(forKey: room) { ready.formUnion(publishers) }
  }

  /// Schedules a message to be sent again.
  mutating func resend(_ number: Int) {
    guard inFlight.remove(number) != nil, let message = messages[number] else { return }
    messages[number]?.sentAt = nil
    ready.insert(message.publisherID)
  }

  /// Changes the time at which a message counts as sent.
  mutating func setSendTime(_ number: Int, to instant: Instant) { messages[number]?.sentAt = instant }

  mutating func resendAll() { for number in inFlight { resend(number) } }

  /// Removes a message that is stored or was rejected. The publisher's next message may then be sent.
  mutating func settle(_ number: Int) -> PendingDraft? {
    guard let message = messages.removeValue(forKey: number) else { return nil }
    if numbers[message.id] == number { numbers[message.id] = nil }
    inFlight.remove(number)
    let publisher = message.publisherID
    guard queues[publisher]?.first == number else { return message }
    while let first = queues[publisher]?.first, messages[first] == nil { queues[publisher]?.removeFirst() }
    if queues[publisher]?.isEmpty == true {
      queues[publisher] = nil
      ready.remove(publisher)
    } else {
      ready.insert(publisher)
    }
    return message
  }

  mutating func settle(id: String) -> PendingDraft? { numbers[id].flatMap { settle($0) } }

  /// Returns the messages in flight for longer than `timeout`.
  func overdue(_ timeout: Duration, now: Instant) -> [Int] {
    inFlight.filter { messages[$0]?.sentAt.map { now - $0 > timeout } == true }.sorted()
  }

  /// Returns the age of the oldest message in flight.
  func age(now: Instant) -> Duration {
    inFlight.compactMap { messages[$0]?.firstSentAt.map { now - $0 } }.max() ?? .zero
  }
}

/// A message without an acknowledgement.
struct PendingDraft {
  let room: Int
  let subject: String
  /// Identifier by which the stream recognises a message that is sent again.
  let id: String
  let draft: Draft
  let quota: PublisherQuota?
  let publisherID: UInt64
  /// Time of the last attempt.
  var sentAt: ContinuousClock.Instant?
  var firstSentAt: ContinuousClock.Instant?

  func isOlder(than duration: Duration, _ now: ContinuousClock.Instant) -> Bool {
    firstSentAt.map { now - $0 > duration } ?? false
  }
}

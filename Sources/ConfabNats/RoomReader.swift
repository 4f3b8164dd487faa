internal import Confab
internal import ConfabChat

/// A room's position in the stream. Messages are accepted in order and without gaps; after a gap, reading restarts
/// there.
///
/// Each consumer after the first one starts at the newest message that was read. If it delivers another message first,
/// messages may have been deleted before they were read, or the stream has been replaced.
struct RoomReader {
  typealias Instant = ContinuousClock.Instant

  /// Interval of a consumer's heartbeats while it has no messages.
  static let heartbeat = Duration.seconds(3)
  /// Time without a message or heartbeat after which a consumer counts as lost.
  static let consumerTimeout = Duration.seconds(7)
  /// Minimum per-room limit of a stream for detecting deletions. With a smaller limit, rooms are always full, so a full
  /// room does not indicate deletions.
  static let leastRoomLimit = 100

  enum Phase: Equatable {
    /// The consumer will be created at or after the instant.
    case waiting(Instant)
    case requested(Instant)
    /// The consumer exists and delivers stored messages.
    case replaying
    /// The consumer delivers new messages.
    case live
  }

  private(set) var phase: Phase
  /// Number that distinguishes the consumer's messages from those of earlier consumers.
  private(set) var generation = 0
  /// Whether the room has got its snapshot. Until then messages are collected.
  private(set) var isOpened = false
  private(set) var collected: [Publication] = []
  /// Offset of the newest message; 0 if there is none.
  private(set) var lastOffset = 0
  /// Offset up to which all of the room's messages have been read. It is above ``lastOffset`` if a consumer has found
  /// no further messages up to it.
  private(set) var position = 0
  /// The newest message that was read.
  private var mark: Mark?
  /// Whether the consumer's messages are known to follow the messages that were read before.
  private var isJoined = true
  /// First offset that the consumer can deliver, if known; all messages before it are deleted.
  private var front: Int?
  /// Messages to handle when the consumer is confirmed, or when the erasure of the newest message that was read is
  /// found.
  private var held: [Delivery] = []
  private var changes = RoomChanges()
  /// Offsets of the entries to delete from the stream.
  private var erased: [Int] = []
  /// Number of entries that were to be deleted.
  private var erasedCount = 0
  /// Highest offset that may have been deleted before it was read.
  private var deleted = 0
  /// Highest offset that the stream is known to have for the room, and since when.
  private var known: (last: Int, since: Instant)
  /// Number of messages that the consumer has delivered.
  private var count = 0
  /// Number of messages that existed when the consumer was created.
  private var target: Int?
  private var receivedAt: Instant
  private var liveAt: Instant
  /// Number of unanswered requests for the consumer.
  private var attempts = 0

  /// A message and its time. Another stream, or an older state of the stream, has another time for the same offset.
  private struct Mark: Equatable {
    let number: Int
    let time: Int64
    /// Offset of the message that the entry changes; nil if the entry is a message.
    let target: Int?
  }

  /// Offset at which the next consumer starts; nil means the oldest message.
  var start: Int? { isOpened ? mark?.number : nil }

  init(at instant: Instant) {
    (phase, receivedAt, liveAt, known) = (.waiting(instant), instant, instant, (0, instant))
  }

  /// Schedules the consumer to be recreated.
  mutating func restart(at instant: Instant) {
    phase = .waiting(instant)
    generation += 1
    (count, target, front, held) = (0, nil, nil, [])
    isJoined = !isOpened
    if isOpened { return }
    (collected, lastOffset, position, mark) = ([], deleted, deleted, nil)
    (changes, erased, erasedCount) = (RoomChanges(), [], 0)
  }

  /// Ignores the consumer from now on. After a disconnection, the consumer skips messages that were deleted meanwhile,
  /// without a gap in its sequence numbers.
  mutating func suspend(at instant: Instant) { phase = .waiting(instant) }

  /// Returns whether a consumer of this generation is in use.
  func isReading(_ generation: Int) -> Bool {
    if case .waiting = phase { return false }
    return self.generation == generation
  }

  /// Resets the position, because another stream replaces the lost one. Reading starts when the consumer is recreated.
  mutating func reset() {
    isOpened = false
    (known.last, position, deleted) = (0, 0, 0)
  }

  /// Handles that messages before an offset may have been deleted before they were read.
  private mutating func recordMissed(before number: Int) -> Step {
    isOpened = false
    (known.last, deleted) = (0, number - 1)
    return .missed
  }

  mutating func request(now: Instant) {
    phase = .requested(now)
    attempts += 1
    (receivedAt, known.since) = (now, now)
  }

  /// Handles the confirmation of the consumer.
  mutating func made(_ info: ConsumerInfo, now: Instant) -> Step {
    // Invalid counts from the broker must not overflow.
    target = [info.num_pending, info.delivered.consumer_seq].reduce(0) {
      $0 + max(0, min($1, Position.offsets.upperBound))
    }
    receivedAt = now
    attempts = 0
    if phase != .live { phase = .replaying }
    guard info.delivered.consumer_seq == 0 else { return .taken }
    let before = min(info.delivered.stream_seq, Position.offsets.upperBound)
    front = before + 1
    if !isOpened { position = max(position, before) }
    if isJoined { return .taken }
    return before > position ? recordMissed(before: before + 1) : .taken
  }

  /// Returns the messages that were held until the confirmation of the consumer.
  mutating func release() -> [Delivery] { exchange(&held, with: []) }

  /// How to handle a message.
  enum Step {
    /// Deliver it to the room, now or when the room has been read completely.
    case taken
    /// Ignore it: it has been read before.
    case known
    /// Hold it until the consumer is confirmed, or until a later message joins.
    case held
    /// Handle all held messages; this message is the last of them.
    case joined
    /// Recreate the consumer: messages that it sent before this one are missing.
    case gap
    /// Read and open the room again: messages before this one may have been deleted.
    case missed
    /// Begin another epoch: another message had its offset.
    case renumbered
  }

  mutating func take(_ delivery: Delivery, limit: Int, roomLimit: Int, now: Instant) -> Step {
    guard delivery.number == count + 1 else { return .gap }
    count = delivery.number
    receivedAt = now
    return accept(delivery, limit: limit, roomLimit: roomLimit)
  }

  /// Handles a message in the order of the stream.
  mutating func accept(_ delivery: Delivery, limit: Int, roomLimit: Int) -> Step {
    let id = delivery.publication.position.offset
    let mark = Mark(number: id, time: delivery.time, target: delivery.publication.draft.entry.target)
    if !isJoined {
      switch join(delivery, mark, limit, roomLimit) {
      case .taken: isJoined = true
      case let step: return step
      }
    }
    // A replica that is behind may deliver a message that has been deleted.
    if !isOpened, id <= deleted { return .known }
    // The room is full at this message: earlier messages may have been deleted while the consumer was behind.
    if roomLimit >= RoomReader.leastRoomLimit, delivery.pending + 1 + erasedCount >= roomLimit, id > position + 1 {
      if isOpened { return recordMissed(before: id) }
      collected = []
    }
    (lastOffset, position, self.mark) = (max(lastOffset, id), max(position, id), mark)
    let erased = changes.add(delivery.publication, limit: limit)
    erasedCount += erased.count
    self.erased += erased
    if !isOpened {
      collected.append(delivery.publication)
      if collected.count > 2 * limit {
        collected.removeFirst(collected.count - limit)
        dropErased()
      }
    }
    return .taken
  }

  /// Checks whether a message follows the messages that were read before.
  private mutating func join(_ delivery: Delivery, _ mark: Mark, _ limit: Int, _ roomLimit: Int) -> Step {
    if mark == self.mark {
      isJoined = true
      return .known
    }
    // A replica that is behind starts with its own newest message.
    if let own = self.mark, mark.number < own.number { return .known }
    if mark.number <= position { return .renumbered }
    guard let target else {
      held.append(delivery)
      return .held
    }
    let isFull = max(target, delivery.number + delivery.pending) + erasedCount >= roomLimit
    if let own = self.mark, let front, front <= own.number, !isFull { return search(own, delivery, limit) }
    return isFull || front == nil ? recordMissed(before: mark.number) : .taken
  }

  /// Looks for the entry that has erased the newest message that was read: the stream does not have this message any
  /// more. Without such an entry, the stream has been renumbered.
  private mutating func search(_ own: Mark, _ delivery: Delivery, _ limit: Int) -> Step {
    held.append(delivery)
    if delivery.publication.erases(own.number, target: own.target) {
      isJoined = true
      return .joined
    }
    let isLast = delivery.pending == 0 || target.map { count >= $0 } == true
    return isLast || held.count > 2 * limit ? .renumbered : .held
  }

  /// Handles a heartbeat: the number of messages sent, and the offset up to which the consumer has looked for messages.
  mutating func beat(_ sent: Int, upTo number: Int, now: Instant) -> Step {
    receivedAt = now
    guard sent == count else { return sent > count ? .gap : .taken }
    if target != nil { target = count }
    if !isJoined, let front {
      // The newest message must exist unless it was deleted. Messages between it and the position must not exist.
      if let mark, front <= mark.number { return number < mark.number ? .taken : .renumbered }
      isJoined = number >= position
    }
    if isJoined { position = max(position, min(number, Position.offsets.upperBound)) }
    return .taken
  }

  /// Goes live when the last of the stored messages has arrived. Returns whether it has just arrived.
  mutating func catchUp(pending: Int?, now: Instant) -> Bool {
    guard phase != .live, pending == 0 || target.map({ count >= $0 }) == true else { return false }
    (phase, liveAt) = (.live, now)
    // Messages that are still missing have been deleted.
    known.last = lastOffset
    return true
  }

  /// Returns the newest `limit` stored messages. Later messages are new.
  mutating func open(limit: Int) -> [Publication] {
    defer { collected = [] }
    isOpened = true
    dropErased()
    return Array(collected.suffix(limit))
  }

  /// Drops erased entries that were not found in the stream.
  private mutating func dropErased() {
    if erased.isEmpty { return }
    let stored = Set(collected.map(\.position.offset))
    erased.removeAll { !stored.contains($0) }
  }

  /// Returns the entries that are to be deleted from the stream.
  mutating func takeErased() -> [Int] { erased.isEmpty ? [] : exchange(&erased, with: []) }

  /// Records that the stream has a message with this offset.
  mutating func know(_ number: Int, now: Instant) {
    if number > known.last {
      if known.last <= lastOffset { known.since = now }
      known.last = number
    }
  }

  /// Returns whether the reader has been live for longer than `duration`.
  func isLive(for duration: Duration, _ now: Instant) -> Bool { phase == .live && now - liveAt > duration }

  /// Returns whether the consumer seems to be lost.
  func isLost(now: Instant) -> Bool {
    switch phase {
    case .waiting: false
    // A cluster that has just lost a server may assign the consumer to that server and not answer.
    case .requested(let instant): now - instant > .seconds(1 << min(attempts - 1, 3))
    case .replaying, .live:
      now - receivedAt > RoomReader.consumerTimeout || known.last > lastOffset && now - known.since > .seconds(2)
    }
  }
}

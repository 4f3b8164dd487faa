internal import Confab
internal import ConfabChat

/// How far a room has been read from the stream: what has come is in order and without a hole, or it is read again from
/// where the hole is.
///
/// Each consumer after the first one begins with the newest message that has been read. If that is not what it sends
/// first, messages may have been deleted before they were read, or the stream is another one than it was.
struct RoomReader {
  typealias Instant = ContinuousClock.Instant

  /// So often a consumer without news says that it is there …
  static let heartbeat = Duration.seconds(3)
  /// … and when nothing has been heard of it for so long it is taken for lost.
  static let patience = Duration.seconds(7)
  /// Streams that keep fewer messages of a room are full all the time, which then means nothing.
  static let leastRoomLimit = 100

  enum Phase: Equatable {
    /// Is to be made, not before.
    case waiting(Instant)
    case asked(Instant)
    /// It is there, and sends what there has been.
    case replaying
    /// What comes is new.
    case live
  }

  private(set) var phase: Phase
  /// Tells what comes of the consumer from what comes of those before.
  private(set) var generation = 0
  /// Whether the room has been told what there was: until then it is collected.
  private(set) var isOpened = false
  private(set) var kept: [PlacedPost] = []
  /// The newest message's number; 0 if there is none.
  private(set) var last = 0
  /// All of the room's messages up to this number have been read: the newest one's, or a higher one to which a consumer has
  /// found no other.
  private(set) var position = 0
  /// The newest message that has been read.
  private var mark: Mark?
  /// Whether what the consumer sends is known to follow what was read before it.
  private var isJoined = true
  /// The first number that the consumer can send, if that is known: all before it is deleted.
  private var front: Int?
  /// Messages that are to be looked at when the consumer is known to have been made.
  private var held: [Delivery] = []
  /// The newest number that may have been deleted before it was read.
  private var deleted = 0
  /// The newest number that the stream is known to have for the room, and since when.
  private var known: (last: Int, since: Instant)
  /// How many messages the consumer has sent …
  private var count = 0
  /// … and how many there were when it was made.
  private var target: Int?
  private var heardAt: Instant
  private var liveAt: Instant
  /// How often it has been asked for in vain.
  private var attempts = 0

  /// A message and its time: the same number in another stream, or in an older state of the stream, has another time.
  private struct Mark: Equatable {
    let number: Int
    let time: Int64
  }

  /// What the next consumer begins with; nil is the oldest message.
  var start: Int? { isOpened ? mark?.number : nil }

  init(at instant: Instant) {
    (phase, heardAt, liveAt, known) = (.waiting(instant), instant, instant, (0, instant))
  }

  /// It is to be made again.
  mutating func restart(at instant: Instant) {
    phase = .waiting(instant)
    generation += 1
    (count, target, front, held) = (0, nil, nil, [])
    isJoined = !isOpened
    if !isOpened { (kept, last, position, mark) = ([], deleted, deleted, nil) }
  }

  /// Ignores the consumer from now on. One whose connection was away goes on behind the messages deleted meanwhile, and
  /// numbers what it sends without a hole.
  mutating func suspend(at instant: Instant) { phase = .waiting(instant) }

  /// Whether a consumer of this generation is read.
  func isReading(_ generation: Int) -> Bool {
    if case .waiting = phase { return false }
    return self.generation == generation
  }

  /// The stream has been lost, and another one begins, which is read when this one is made again.
  mutating func forget() {
    isOpened = false
    (known.last, position, deleted) = (0, 0, 0)
  }

  /// Messages before a number may have been deleted before they were read.
  private mutating func miss(before number: Int) -> Step {
    isOpened = false
    (known.last, deleted) = (0, number - 1)
    return .missed
  }

  mutating func ask(now: Instant) {
    phase = .asked(now)
    attempts += 1
    (heardAt, known.since) = (now, now)
  }

  /// The consumer has been made.
  mutating func made(_ info: ConsumerInfo, now: Instant) -> Step {
    // Counts that no stream has must not overflow.
    target = [info.num_pending, info.delivered.consumer_seq].reduce(0) { $0 + max(0, min($1, Place.ids.upperBound)) }
    heardAt = now
    attempts = 0
    if phase != .live { phase = .replaying }
    guard info.delivered.consumer_seq == 0 else { return .taken }
    let before = min(info.delivered.stream_seq, Place.ids.upperBound)
    front = before + 1
    if !isOpened { position = max(position, before) }
    if isJoined { return .taken }
    return before > position ? miss(before: before + 1) : .taken
  }

  /// What was to be looked at when the consumer has been made.
  mutating func release() -> [Delivery] { exchange(&held, with: []) }

  /// What a message that has come means.
  enum Step {
    /// It is to be given to the room, which is open, or will be as soon as everything has come.
    case taken
    /// It has been read before.
    case known
    /// It is to be looked at when the consumer has been made.
    case held
    /// The consumer has sent messages before it that have not come: another one is to send them.
    case hole
    /// Messages before it may have been deleted: the room is to be read anew, and opened again.
    case missed
    /// It has a number that another message had.
    case renumbered
  }

  mutating func take(_ delivery: Delivery, limit: Int, roomLimit: Int, now: Instant) -> Step {
    guard delivery.number == count + 1 else { return .hole }
    count = delivery.number
    heardAt = now
    return accept(delivery, limit: limit, roomLimit: roomLimit)
  }

  /// Looks at a message in the order of the stream.
  mutating func accept(_ delivery: Delivery, limit: Int, roomLimit: Int) -> Step {
    let id = delivery.post.place.id
    let mark = Mark(number: id, time: delivery.time)
    if !isJoined {
      switch join(delivery, mark, roomLimit) {
      case .taken: isJoined = true
      case let step: return step
      }
    }
    // A replica that is behind still has it, without those that follow.
    if !isOpened, id <= deleted { return .known }
    // The room is full from this message on: those right before it may have been deleted while the consumer was behind.
    if roomLimit >= RoomReader.leastRoomLimit, delivery.pending + 1 >= roomLimit, id > position + 1 {
      if isOpened { return miss(before: id) }
      kept = []
    }
    (last, position, self.mark) = (max(last, id), max(position, id), mark)
    if !isOpened {
      kept.append(delivery.post)
      if kept.count > 2 * limit { kept.removeFirst(kept.count - limit) }
    }
    return .taken
  }

  /// Finds out whether a message follows what was read before.
  private mutating func join(_ delivery: Delivery, _ mark: Mark, _ roomLimit: Int) -> Step {
    if mark == self.mark {
      isJoined = true
      return .known
    }
    // A replica that is behind begins with its newest message.
    if let own = self.mark, mark.number < own.number { return .known }
    if mark.number <= position { return .renumbered }
    guard let target else {
      held.append(delivery)
      return .held
    }
    let isFull = max(target, delivery.number + delivery.pending) >= roomLimit
    if let own = self.mark, let front, front <= own.number, !isFull { return .renumbered }
    return isFull || front == nil ? miss(before: mark.number) : .taken
  }

  /// A heartbeat, which says how many messages there have been, and how far the consumer has looked for others.
  mutating func beat(_ sent: Int, upTo number: Int, now: Instant) -> Step {
    heardAt = now
    guard sent == count else { return sent > count ? .hole : .taken }
    if target != nil { target = count }
    if !isJoined, let front {
      // The newest message must be there, unless it has been deleted; others up to the position must not.
      if let mark, front <= mark.number { return number < mark.number ? .taken : .renumbered }
      isJoined = number >= position
    }
    if isJoined { position = max(position, min(number, Place.ids.upperBound)) }
    return .taken
  }

  /// Whether the last one of what there was has just come.
  mutating func catchUp(pending: Int?, now: Instant) -> Bool {
    guard phase != .live, pending == 0 || target.map({ count >= $0 }) == true else { return false }
    (phase, liveAt) = (.live, now)
    // What is not there now has been deleted.
    known.last = last
    return true
  }

  /// What there was, the newest `limit`; from now on what comes is new.
  mutating func open(limit: Int) -> [PlacedPost] {
    defer { kept = [] }
    isOpened = true
    return Array(kept.suffix(limit))
  }

  /// The stream has told that it has a message of this number.
  mutating func know(_ number: Int, now: Instant) {
    if number > known.last {
      if known.last <= last { known.since = now }
      known.last = number
    }
  }

  /// Whether it has caught up, longer ago.
  func isLive(for duration: Duration, _ now: Instant) -> Bool { phase == .live && now - liveAt > duration }

  /// Whether the consumer seems to be lost.
  func isLost(now: Instant) -> Bool {
    switch phase {
    case .waiting: false
    // A cluster that has just lost a server may choose that one to have the consumer, and does not answer.
    case .asked(let instant): now - instant > .seconds(1 << min(attempts - 1, 3))
    case .replaying, .live: now - heardAt > RoomReader.patience || known.last > last && now - known.since > .seconds(2)
    }
  }
}

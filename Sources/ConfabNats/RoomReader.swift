internal import ConfabChat

/// How far a room has been read from the stream: what has come is in order and without a hole, or it is read again from
/// where the hole is.
struct RoomReader {
  typealias Instant = ContinuousClock.Instant

  /// So often a consumer without news says that it is there …
  static let heartbeat = Duration.seconds(3)
  /// … and when nothing has been heard of it for so long it is taken for lost.
  static let patience = Duration.seconds(7)

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

  init(at instant: Instant) {
    (phase, heardAt, liveAt, known) = (.waiting(instant), instant, instant, (0, instant))
  }

  /// It is to be made again.
  mutating func restart(at instant: Instant) {
    phase = .waiting(instant)
    generation += 1
    (count, target) = (0, nil)
    if !isOpened { (kept, last) = ([], 0) }
  }

  /// The stream has been lost, and another one begins, which is read when this one is made again.
  mutating func forget() {
    isOpened = false
    known.last = 0
  }

  mutating func ask(now: Instant) {
    phase = .asked(now)
    attempts += 1
    (heardAt, known.since) = (now, now)
  }

  /// The consumer has been made.
  mutating func made(_ info: ConsumerInfo, now: Instant) -> Bool {
    // What no stream has must not overflow.
    target = [info.num_pending, info.delivered.consumer_seq].reduce(0) { $0 + min($1, Place.ids.upperBound) }
    heardAt = now
    attempts = 0
    if phase != .live { phase = .replaying }
    return catchUp(pending: nil, now: now)
  }

  /// What a message that has come means.
  enum Step {
    /// It is to be given to the room, which is open, or will be as soon as everything has come.
    case taken
    /// Something is missing before it.
    case hole
  }

  mutating func take(_ post: PlacedPost, number: Int, limit: Int, now: Instant) -> Step {
    guard number == count + 1 else { return .hole }
    count = number
    heardAt = now
    last = max(last, post.place.id)
    if !isOpened {
      kept.append(post)
      if kept.count > 2 * limit { kept.removeFirst(kept.count - limit) }
    }
    return .taken
  }

  /// A heartbeat, which says how many messages there have been.
  mutating func beat(_ sent: Int, now: Instant) -> Step {
    heardAt = now
    if sent == count, target != nil { target = count }
    return sent > count ? .hole : .taken
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

internal import Confab
internal import ConfabChat

/// Exchange of the restrictions with the other servers, through a separate stream. The stream has one message for each
/// restriction: the JSON of the restriction, or an empty message after it was lifted.
///
/// After each connection, the whole stream is read before a room opens. A message that cannot be read may be a
/// restriction, so rooms stay closed until the message is replaced or deleted. Rooms that are already open stay open,
/// with the known restrictions.
struct RestrictionExchange {
  typealias Instant = ContinuousClock.Instant

  enum Phase: Equatable {
    /// The stream will be requested at or after the instant.
    case waiting(Instant)
    /// The stream has been requested.
    case asking(Instant)
    /// The consumer has been requested.
    case requested(Instant)
    /// The consumer delivers the stored restrictions.
    case replaying
    /// The consumer delivers changes.
    case live
  }

  /// A change that the stream has not confirmed.
  struct Pending {
    let change: RestrictionChange
    let number: Int
    var done: [@Sendable (Bool) -> Void]
    /// Nil before it is sent.
    var sentAt: Instant?
  }

  /// A message of the stream.
  struct Stored {
    let offset: Int
    /// Nil if the restriction was lifted.
    let restriction: Restriction?
    let readAt: Instant
  }

  /// Maximum number of pending changes, including those that were replaced by a later one.
  static let maxPending = 10_000
  /// Time after which a change is sent again, or a request is repeated.
  static let timeout = Duration.seconds(2)
  /// Interval in which the stream is read again while a message cannot be read.
  static let retryInterval = Duration.seconds(5)
  /// Interval between deletions of restrictions that have ended. Also the time after which the empty message of a
  /// lifted restriction is deleted.
  static let sweepInterval = Duration.seconds(60)

  /// Nil without a chat.
  var delegate: (any RestrictionDelegate)?
  var phase: Phase
  /// Number that distinguishes the consumer from earlier ones.
  var generation = 0
  /// Number of messages that the consumer has delivered.
  var count = 0
  var receivedAt: Instant
  /// Number of the newest message when the stream was requested. A replica may have fewer messages.
  var end = 0
  /// Number up to which the consumer has delivered all messages.
  var position = 0
  /// Creation time of the stream; nil before it is known.
  var created: String?
  /// The messages of the stream, by the ids of the restrictions.
  var stored: [String: Stored] = [:]
  /// The messages that the consumer has delivered while replaying.
  var replayed: [String: Stored] = [:]
  /// Ids whose messages cannot be read.
  var unreadable: Set<String> = []
  /// Whether another stream has replaced the stream since it was read.
  var isReplaced = false
  var pending: [String: Pending] = [:]
  var lastNumber = 0
  /// Number of callbacks of pending changes.
  var doneCount = 0
  var sweptAt: Instant

  init(at now: Instant) { (phase, receivedAt, sweptAt) = (.waiting(now), now, now) }

  /// Whether the consumer has been requested.
  var isReading: Bool {
    switch phase {
    case .waiting, .asking: false
    case .requested, .replaying, .live: true
    }
  }

  /// Whether rooms may open.
  var isKnown: Bool { delegate == nil || phase == .live && unreadable.isEmpty }

  /// The restrictions, with the pending changes applied.
  var restrictions: [Restriction] {
    var all = stored.compactMapValues(\.restriction)
    for (id, change) in pending {
      if case .set(let restriction) = change.change { all[id] = restriction } else { all[id] = nil }
    }
    return Array(all.values)
  }

  /// Keeps a message, unless a newer one is known.
  mutating func keep(_ message: Stored, _ id: String) {
    // Numbers of another stream are lower or higher.
    if phase != .live || message.offset >= stored[id]?.offset ?? 0 { stored[id] = message }
    if phase != .live, message.offset >= replayed[id]?.offset ?? 0 { replayed[id] = message }
  }
}

extension JetStreamOptions {
  /// Name of the stream for the restrictions.
  var restrictionStream: String { "\(stream)-RESTRICTIONS" }
  /// First part of the subjects of restrictions; the id follows.
  var restrictionPrefix: String { "\(prefix).restriction." }
}

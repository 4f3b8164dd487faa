internal import ConfabChat
internal import Logging

/// Effects to apply outside the lock, in this order: send to the broker, call rooms, release quotas, log.
struct Effects {
  struct OutgoingMessage {
    let subject: String
    var reply: String?
    var headers: [(String, String)] = []
    var bytes: [UInt8] = []
    /// Number of the message, for a message of a client.
    var number: Int?
  }

  enum Action {
    case publish(OutgoingMessage)
    case subscribe(String)
    case unsubscribe(String)
  }

  enum Call {
    case opened(any RoomDelegate, RoomSnapshot)
    case published(any RoomDelegate, [Publication])
    case rejected(any RoomDelegate, [Draft])
    case available(any RoomDelegate, Bool)
    /// Queries the presence of a room, to publish it.
    case queryPresence(any RoomDelegate, Int, unless: Int)
    case remotePresence(any RoomDelegate, String, ServerPresence)
    case typed(any RoomDelegate, String)
    /// Replaces all restrictions.
    case restrictions(any RestrictionDelegate, [Restriction])
    indirect case restriction(any RestrictionDelegate, RestrictionChange)

    /// Calls the room. `publish` gets a room's presence and its version, if the presence has changed.
    func perform(publish: (_ room: Int, ServerPresence, _ version: Int) -> Void) {
      switch self {
      case .opened(let room, let snapshot): room.opened(snapshot)
      case .published(let room, let publications): room.published(publications)
      case .rejected(let room, let drafts): room.rejected(drafts)
      case .available(let room, let isAvailable): room.availabilityChanged(isAvailable)
      case .queryPresence(let room, let number, let version):
        if let (presence, version) = room.presence(unless: version) { publish(number, presence, version) }
      case .remotePresence(let room, let server, let presence): room.presenceChanged(on: server, to: presence)
      case .typed(let room, let name): room.typed(name)
      case .restrictions(let delegate, let restrictions): delegate.restored(restrictions)
      case .restriction(let delegate, let change): delegate.changed(change)
      }
    }
  }

  var actions: [Action] = []
  var calls: [Call] = []
  /// Sizes of messages that are not pending any more.
  var settled: [(PublisherQuota?, Int)] = []
  /// Callbacks for changes of restrictions that are stored, or never will be.
  var stored: [(done: @Sendable (Bool) -> Void, isStored: Bool)] = []
  /// Whether another iteration must follow soon.
  var needsAnotherRun = false
  var logs: [(Logger.Level, String)] = []
  /// Index of a room's last call, if that call publishes messages, so that more can be added to it.
  private var publishedCalls: [Int: Int] = [:]

  mutating func publish(
    _ subject: String, reply: String? = nil, headers: [(String, String)] = [], bytes: [UInt8] = [], number: Int? = nil
  ) {
    actions.append(
      .publish(OutgoingMessage(subject: subject, reply: reply, headers: headers, bytes: bytes, number: number)))
  }

  mutating func opened(_ snapshot: RoomSnapshot, _ room: Int, _ delegate: any RoomDelegate) {
    publishedCalls[room] = nil
    calls.append(.opened(delegate, snapshot))
  }

  mutating func published(_ publication: Publication, _ room: Int, _ delegate: any RoomDelegate) {
    if let index = publishedCalls[room], case .published(let delegate, var publications) = calls[index] {
      // Moved out briefly to avoid a copy.
      calls[index] = .available(delegate, true)
      publications.append(publication)
      calls[index] = .published(delegate, publications)
    } else {
      publishedCalls[room] = calls.count
      calls.append(.published(delegate, [publication]))
    }
  }
}

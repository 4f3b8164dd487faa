internal import ConfabChat
internal import Logging

/// Effects to apply outside the lock, in this order: send to the broker, call rooms, call senders, log.
struct Effects {
  struct Publication {
    let subject: String
    var reply: String?
    var headers: [(String, String)] = []
    var bytes: [UInt8] = []
    /// Number of the message, for a message of a sender.
    var number: Int?
  }

  enum Action {
    case publish(Publication)
    case subscribe(String)
    case unsubscribe(String)
  }

  enum Call {
    case opened(any RoomSink, Kept)
    case placed(any RoomSink, [PlacedPost])
    case refused(any RoomSink, [Post])
    case available(any RoomSink, Bool)
    /// Queries the presence of a room, to publish it.
    case attendance(any RoomSink, Int, unless: Int)
    case attended(any RoomSink, String, Attendance)
    case typed(any RoomSink, String)

    /// Calls the room. `publish` gets a room's presence and its version, if the presence has changed.
    func perform(publish: (_ room: Int, Attendance, _ version: Int) -> Void) {
      switch self {
      case .opened(let sink, let kept): sink.opened(kept)
      case .placed(let sink, let posts): sink.placed(posts)
      case .refused(let sink, let posts): sink.refused(posts)
      case .available(let sink, let isAvailable): sink.availabilityChanged(isAvailable)
      case .attendance(let sink, let room, let version):
        if let (attendance, version) = sink.attendance(unless: version) { publish(room, attendance, version) }
      case .attended(let sink, let server, let attendance): sink.attended(server, attendance)
      case .typed(let sink, let name): sink.typed(name)
      }
    }
  }

  var actions: [Action] = []
  var calls: [Call] = []
  var settled: [(Sender?, Int)] = []
  /// Whether another iteration is due within a moment.
  var isToLookAgain = false
  var logs: [(Logger.Level, String)] = []
  /// Index of a room's last call, if that call publishes messages, so that more can be added to it.
  private var placed: [Int: Int] = [:]

  mutating func publish(
    _ subject: String, reply: String? = nil, headers: [(String, String)] = [], bytes: [UInt8] = [], number: Int? = nil
  ) {
    actions.append(
      .publish(Publication(subject: subject, reply: reply, headers: headers, bytes: bytes, number: number)))
  }

  mutating func opened(_ kept: Kept, _ room: Int, _ sink: any RoomSink) {
    placed[room] = nil
    calls.append(.opened(sink, kept))
  }

  mutating func placed(_ post: PlacedPost, _ room: Int, _ sink: any RoomSink) {
    if let index = placed[room], case .placed(let sink, var posts) = calls[index] {
      // Moved out briefly to avoid a copy.
      calls[index] = .available(sink, true)
      posts.append(post)
      calls[index] = .placed(sink, posts)
    } else {
      placed[room] = calls.count
      calls.append(.placed(sink, [post]))
    }
  }
}

internal import ConfabChat
internal import Logging

/// What is to be done outside of the lock, in this order: sent to the broker, told to rooms, told to senders, logged.
struct Effects {
  struct Publication {
    let subject: String
    var reply: String?
    var headers: [(String, String)] = []
    var bytes: [UInt8] = []
    /// Of the message, if it is one that somebody has said.
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
    /// Is asked who is there, to tell it.
    case attendance(any RoomSink, Int, unless: Int)
    case attended(any RoomSink, String, Attendance)
    case typed(any RoomSink, String)
  }

  var actions: [Action] = []
  var calls: [Call] = []
  var settled: [(Sender?, Int)] = []
  /// Whether something is to be done within a moment.
  var isToLookAgain = false
  var logs: [(Logger.Level, String)] = []
  /// Where the last call for a room is, if it is for messages: more can be added to it.
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
      // Moved out for a moment, so that it is not copied.
      calls[index] = .available(sink, true)
      posts.append(post)
      calls[index] = .placed(sink, posts)
    } else {
      placed[room] = calls.count
      calls.append(.placed(sink, [post]))
    }
  }
}

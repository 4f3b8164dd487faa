public import Confab

/// Assigns offsets to the messages of rooms, and stores them. ``Chat`` uses this process's memory by default.
///
/// A room asks its ``RoomOrder`` for an offset for each message. An engine that knows the offset at once returns it. An
/// engine that needs a disk or a broker passes it to the room's ``RoomSink`` later. A room's log contains publications
/// in the order of their offsets, so all readers see one order.
///
/// Any thread may call an engine.
public protocol Engine: Sendable {
  /// Whether messages outlive this process or reach other processes. Such an engine gets all messages. Other engines do
  /// not see messages of rooms that only plain clients have used.
  var isShared: Bool { get }

  /// Whether messages can get offsets now: ``Chat/isAvailable``.
  var isAvailable: Bool { get }

  /// Whether messages are stored. If they are not, because a disk is full for example, they are still delivered.
  var isKept: Bool { get }

  /// Opens a room. The engine calls ``RoomSink/opened(_:)`` before this returns, or later, when it has been reached.
  /// Until then the room admits no clients and passes on no messages. An engine that is not shared opens a room before
  /// this returns, and assigns offsets at once.
  ///
  /// The engine keeps `sink` until ``RoomOrder/close()``. A room is not opened again before that.
  func open(_ room: String, _ sink: any RoomSink) -> any RoomOrder

  /// Shuts the engine down. Pending messages get their offsets, if that is possible within a few seconds. The rooms are
  /// closed.
  func shutdown() async
}

extension Engine {
  /// By default, only stored messages are delivered.
  public var isKept: Bool { true }
}

/// The order of the messages in one room.
public protocol RoomOrder: Sendable {
  /// Assigns an offset to a message. Nil means that the offset is pending: ``RoomSink/placed(_:)`` follows exactly
  /// once, and `sender.settled(_:)` just before or after it. Messages of one sender keep their order. The sender is nil
  /// if the engine is not shared.
  ///
  /// The room calls this with its lock held, one call at a time. It must not call the sink, and must not block.
  func place(_ post: () -> Post, from sender: Sender?) -> Place?

  /// Informs other servers that a user is typing. The default implementation does nothing.
  func typing(_ name: String)

  /// Signals that the presence on this server has changed. The room calls this once until the engine has queried the
  /// presence from the sink. The room's lock is held, so it must not call the sink. The default implementation does
  /// nothing.
  func attendanceChanged()

  /// Closes the room. The engine releases the sink as soon as it handles the call. Pending messages still get their
  /// offsets.
  func close()
}

extension RoomOrder {
  /// Does nothing.
  public func typing(_ name: String) {}
  /// Does nothing.
  public func attendanceChanged() {}
}

/// A room, as an engine sees it. The engine makes the calls for one room one at a time, on any thread, and not from
/// within ``RoomOrder/place(_:from:)``.
public protocol RoomSink: AnyObject, Sendable {
  /// Opens the room, which then answers the handshakes of its clients. The engine calls this again when messages may
  /// have been missed, or when a new epoch begins, for example because the engine has lost its data. The clients are
  /// then closed with 1012.
  func opened(_ kept: Kept)
  /// Begins a new epoch. The room keeps its messages. Clients are closed with 1012, because offsets that they know may
  /// be assigned again.
  func renumbered(_ epoch: String)
  /// Publishes messages, whose offsets follow those of all messages before. A message with an earlier offset is a
  /// repetition: it already had that offset.
  func placed(_ posts: [PlacedPost])
  /// Rejects messages that never get an offset, because the broker rejects their size.
  func refused(_ posts: [Post])
  /// Signals that the engine has become unreachable, or reachable again. Messages sent meanwhile are pending.
  func availabilityChanged(_ isAvailable: Bool)

  /// Returns the members of the room on this server, with the version of that list; nil if the version is unchanged.
  /// The engine may call it at any time.
  func attendance(unless version: Int) -> (attendance: Attendance, version: Int)?
  /// Sets the members of the room on another server. They are empty when that server has gone.
  func attended(_ server: String, _ attendance: Attendance)
  /// Reports that a user on another server is typing.
  func typed(_ name: String)
}

/// A message before it has an offset.
public struct Post: Sendable {
  /// Message kind of the plain protocol. Messages of the rich protocol are text.
  public let kind: Message.Kind
  /// Its payload.
  public let bytes: [UInt8]
  /// Name of the sender; nil for the plain protocol.
  public let name: String?
  /// The sending client; nil for the plain protocol.
  public let member: Member?
  /// The client's own identifier of the message: 1 to 64 ASCII letters, digits, - and _. While the room keeps a
  /// message, it has no second one of the same member and tag.
  public let tag: String?

  /// Creates a message. Text that is not UTF-8 becomes binary, and invalid names and tags are dropped, because engines
  /// read them from files and streams.
  public init(kind: Message.Kind, bytes: [UInt8], name: String? = nil, member: Member? = nil, tag: String? = nil) {
    self.kind = kind == .text && !Message.isText(bytes.span) ? .binary : kind
    (self.bytes, self.member) = (bytes, member)
    self.name = name.flatMap { 1...Name.maxBytes ~= $0.utf8.count ? $0 : nil }
    self.tag = tag.flatMap { Tag($0)?.text }
  }

  /// Creates a message of the plain protocol.
  init(_ message: Message) { self.init(kind: message.kind, bytes: [UInt8](message)) }
}

/// Position of a message in a room's order, and its time.
public struct Place: Sendable, Hashable {
  /// Offset, from 1. It is above that of all earlier messages. There may be gaps.
  public let id: Int
  /// Time at which the message got its offset: milliseconds since 1970, UTC.
  public let at: Int64

  /// Creates a position.
  public init(id: Int, at: Int64) { (self.id, self.at) = (id, at) }

  /// Valid offsets: those that JSON numbers represent exactly.
  package static let ids = 1...1 << 53
  /// Valid times, up to the year 9999.
  package static let times: Range<Int64> = 0..<253_402_300_800_000
}

/// A message with its offset.
public struct PlacedPost: Sendable {
  /// The offset and time.
  public let place: Place
  /// The message.
  public let post: Post

  /// Creates a publication.
  public init(_ post: Post, at place: Place) { (self.post, self.place) = (post, place) }
}

/// Snapshot of a room that an engine restores.
public struct Kept: Sendable {
  /// Epoch of the offsets. It changes when offsets may be assigned again.
  public let epoch: String
  /// Offset of the newest message that the room has ever had; 0 without messages.
  public let last: Int
  /// The newest messages, oldest first, without gaps.
  public let posts: [PlacedPost]

  /// An empty room with a new, random epoch.
  package static var nothing: Kept {
    Kept(epoch: String(UInt64.random(in: .min ... .max), radix: 36), last: 0, posts: [])
  }

  /// Creates a snapshot.
  public init(epoch: String, last: Int, posts: [PlacedPost]) {
    (self.epoch, self.last, self.posts) = (epoch, last, posts)
  }
}

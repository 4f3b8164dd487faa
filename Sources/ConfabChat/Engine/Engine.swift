public import Confab

/// Where the messages of rooms get their order, and where they are kept: this process's memory, unless ``Chat`` is given
/// another engine.
///
/// A room asks its ``RoomOrder`` for a place for each message. An engine that knows the place at once says so; one that
/// has to ask somebody else, a disk or a broker, tells the room's ``RoomSink`` later. What is in the room's log is what
/// has a place, in the order of places, so all who read it see one order.
///
/// Any thread may call it.
public protocol Engine: Sendable {
  /// Whether messages outlive this process, or are for other ones, too: such an engine gets all messages. Otherwise
  /// those of rooms in which nobody has ever spoken the rich protocol are nobody's business, and cost nothing.
  var isShared: Bool { get }

  /// Whether messages can be given places now: ``Chat/isAvailable``.
  var isAvailable: Bool { get }

  /// Whether what is said is kept where the engine keeps it. If it is not, when a disk is full, say, it is heard
  /// nevertheless.
  var isKept: Bool { get }

  /// Opens a room. ``RoomSink/opened(_:)`` comes before it returns, or follows when the engine has been reached; before
  /// that, no client is let in, and no message given to it. One that is not shared opens a room before it returns, and
  /// gives places at once.
  ///
  /// `sink` is kept until ``RoomOrder/close()``. A room is not opened again before that.
  func open(_ room: String, _ sink: any RoomSink) -> any RoomOrder

  /// Ends it: what it has been given gets its place, if that is possible within a few seconds. The rooms are closed.
  func shutdown() async
}

extension Engine {
  /// What is not kept is not heard either.
  public var isKept: Bool { true }
}

/// The order of one room.
public protocol RoomOrder: Sendable {
  /// Gives a message its place, or begins to: nil means that ``RoomSink/placed(_:)`` follows, exactly once, and
  /// `sender.settled(_:)` just before it or just after. Messages of one sender keep their order. The sender is nil if the
  /// engine is not shared.
  ///
  /// It is called with the room's lock held, so one call at a time, and must not call the sink. It must not wait.
  func place(_ post: () -> Post, from sender: Sender?) -> Place?

  /// Tells other servers that somebody is writing. What does nothing is there already.
  func typing(_ name: String)

  /// Tells that ``RoomSink/attendance(unless:)`` has news. It is called once until that has been asked, with the room's lock
  /// held, so it must not call the sink. The default implementation does nothing.
  func attendanceChanged()

  /// Nobody needs the room any more: the sink is let go of as soon as the engine hears of it. Messages that have been given
  /// to it still get their places.
  func close()
}

extension RoomOrder {
  /// There are no other servers.
  public func typing(_ name: String) {}
  /// There are no other servers.
  public func attendanceChanged() {}
}

/// A room, as an engine knows it. The calls for one room come one at a time, on any thread, and not from within
/// ``RoomOrder/place(_:from:)``.
public protocol RoomSink: AnyObject, Sendable {
  /// The room is open: handshakes of its clients are answered now. It comes again when messages may have been missed, or
  /// when another numbering begins because the engine has lost everything, say: then the clients are closed with 1012.
  func opened(_ kept: Kept)
  /// Another numbering begins: what the room has stays, and clients are closed with 1012, since numbers that they know may
  /// be given again.
  func renumbered(_ epoch: String)
  /// Messages have got places that follow those of all messages before. One with an earlier place has been said again: it
  /// had that place already.
  func placed(_ posts: [PlacedPost])
  /// Messages never get a place, since the broker rejects them for their size.
  func refused(_ posts: [Post])
  /// The engine can't be reached, or is back. What is said meanwhile waits.
  func availabilityChanged(_ isAvailable: Bool)

  /// Who is in the room on this server, for others that share it, with the version of that; nil if it is still this one.
  /// It may be called at any time.
  func attendance(unless version: Int) -> (attendance: Attendance, version: Int)?
  /// Who is in the room on another server, as it has told; nobody when it has gone.
  func attended(_ server: String, _ attendance: Attendance)
  /// Somebody on another server is writing.
  func typed(_ name: String)
}

/// A message before it has its place in a room's order.
public struct Post: Sendable {
  /// How it came, if by the plain protocol; what is said by the rich one is text.
  public let kind: Message.Kind
  /// Its payload.
  public let bytes: [UInt8]
  /// Who has said it by the rich protocol; nil for the plain one.
  public let name: String?
  /// Which client that was; nil for the plain protocol.
  public let member: Member?
  /// What that client knows it by: 1 to 64 letters of ASCII, digits, - and _. A room has no two messages of one member
  /// with the same tag as long as it keeps the first.
  public let tag: String?

  /// A message. Text that is not UTF-8 becomes binary, and a name or tag that no client can have is left out: an engine
  /// may pass on what it finds in a file or a stream.
  public init(kind: Message.Kind, bytes: [UInt8], name: String? = nil, member: Member? = nil, tag: String? = nil) {
    self.kind = kind == .text && !Message.isText(bytes.span) ? .binary : kind
    (self.bytes, self.member) = (bytes, member)
    self.name = name.flatMap { 1...Name.maxBytes ~= $0.utf8.count ? $0 : nil }
    self.tag = tag.flatMap { Tag($0)?.text }
  }

  /// A message of the plain protocol.
  init(_ message: Message) { self.init(kind: message.kind, bytes: [UInt8](message)) }
}

/// A message's place in a room's order.
public struct Place: Sendable, Hashable {
  /// Its number, above that of all messages before, from 1 on. There may be gaps.
  public let id: Int
  /// When it got it: milliseconds since 1970, UTC.
  public let at: Int64

  /// A place.
  public init(id: Int, at: Int64) { (self.id, self.at) = (id, at) }

  /// Numbers that a place can have: those that JSON numbers hold exactly.
  package static let ids = 1...1 << 53
  /// Times that it can have: up to the year 9999.
  package static let times: Range<Int64> = 0..<253_402_300_800_000
}

/// A message that has its place.
public struct PlacedPost: Sendable {
  /// The place.
  public let place: Place
  /// The message.
  public let post: Post

  /// A message that has its place.
  public init(_ post: Post, at place: Place) { (self.post, self.place) = (post, place) }
}

/// What an engine has kept of a room.
public struct Kept: Sendable {
  /// Says which numbering the places belong to: it is another one when places may be given again.
  public let epoch: String
  /// The number of the newest message that the room has ever had; 0 if there was none.
  public let last: Int
  /// The newest messages, oldest first, without gaps.
  public let posts: [PlacedPost]

  /// That of a room that begins: its numbering is a new one each time.
  package static var nothing: Kept {
    Kept(epoch: String(UInt64.random(in: .min ... .max), radix: 36), last: 0, posts: [])
  }

  /// What has been kept.
  public init(epoch: String, last: Int, posts: [PlacedPost]) {
    (self.epoch, self.last, self.posts) = (epoch, last, posts)
  }
}

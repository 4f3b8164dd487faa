internal import Confab

/// A user and its rights, as an ``Admission`` has verified them.
public struct Identity: Sendable, Equatable {
  /// Stable identifier of the user, 1 to ``maxIDLength`` bytes of UTF-8. All connections of one user have it, so it
  /// identifies the user across tabs, devices and names. Other clients do not see it.
  public var id: String
  /// Verified name. The client has this name in every room and cannot change it. Other users cannot take the name while
  /// the client is in the room. A member without a verified name that already has the name gets another one. Nil lets
  /// the client choose a name.
  public var name: String?
  /// Rights of the client.
  public var rights: Rights
  /// The rooms that the client may enter. The default is ``RoomPattern/all``.
  public var rooms: [RoomPattern]
  /// Whether the client is a guest, whose ``id`` identifies only this connection. Restrictions of a guest apply to its
  /// session and its network, see ``Restriction/Target``. The default is false.
  public var isGuest = false
  /// Time at which the identity expires: milliseconds since 1970, UTC. Nil, the default, means never. See
  /// ``Admission/grace``.
  public var expires: Int64?

  /// Maximum length of ``id`` in bytes of UTF-8.
  public static let maxIDLength = 256

  /// Creates an identity.
  public init(
    id: String, name: String? = nil, rights: Rights = .member, rooms: [RoomPattern] = [.all], expires: Int64? = nil
  ) {
    (self.id, self.name, self.rights, self.rooms, self.expires) = (id, name, rights, rooms, expires)
  }

  /// Returns whether the client may enter a room.
  ///
  /// - Parameter room: the path of the room, such as `/tea`.
  public func mayEnter(_ room: String) -> Bool {
    let room = room.composed
    return rights.contains(.read) && rooms.contains { $0.matches(composed: room) }
  }
}

/// Rights of a client in its rooms.
public struct Rights: OptionSet, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// The client may enter rooms, and gets their messages. Without this right it cannot connect.
  public static let read = Rights(rawValue: 1)
  /// The client may send messages, and typing events.
  public static let say = Rights(rawValue: 2)
  /// The client gets messages that were sent before it joined.
  public static let history = Rights(rawValue: 4)
  /// The client may remove any message, at any time. It may kick, mute and ban other clients of its room.
  public static let moderate = Rights(rawValue: 8)

  /// The rights of an ordinary member: ``read``, ``say`` and ``history``.
  public static let member: Rights = [.read, .say, .history]

  private static let all: [(name: String, right: Rights)] = [
    ("read", .read), ("say", .say), ("history", .history), ("moderate", .moderate),
  ]

  /// The names of the rights in the protocol and in tokens, in the order of the declarations.
  public var names: [String] { Rights.all.filter { contains($0.right) }.map(\.name) }

  /// Parses ``names``. Returns nil if a name is unknown.
  public init?(names: [String]) {
    self = []
    for name in names {
      guard let right = Rights.all.first(where: { $0.name == name })?.right else { return nil }
      insert(right)
    }
  }
}

/// One room, or all rooms below a path.
public struct RoomPattern: Sendable, Equatable, CustomStringConvertible {
  /// Path of the room, or the common prefix of the rooms up to the last `/`. In NFC.
  private let path: String
  private let isPrefix: Bool

  /// All rooms.
  public static let all = RoomPattern(path: "/", isPrefix: true)

  private init(path: String, isPrefix: Bool) { (self.path, self.isPrefix) = (path, isPrefix) }

  /// Parses a pattern: `/tea` is that room, `/team/*` all rooms whose path begins with `/team/`, and `/*` all rooms.
  ///
  /// Returns nil if the pattern does not begin with `/`, or has more than 1,024 bytes.
  public init?(_ text: String) {
    let composed = text.composed
    guard composed.utf8.first == UInt8(ascii: "/"), composed.utf8.count <= RoomPattern.maxLength else { return nil }
    let isPrefix = composed.utf8.suffix(2).elementsEqual("/*".utf8)
    self.init(path: isPrefix ? String(composed.dropLast()) : composed, isPrefix: isPrefix)
  }

  private static let maxLength = 1 << 10

  /// The form that ``init(_:)`` parses.
  public var description: String { isPrefix ? path + "*" : path }

  /// Returns whether the pattern matches a room. The room's name must be in NFC.
  func matches(composed room: String) -> Bool {
    isPrefix ? room.utf8.starts(with: path.utf8) : room.utf8.elementsEqual(path.utf8)
  }
}

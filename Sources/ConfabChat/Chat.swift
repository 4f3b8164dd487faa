public import Confab

/// A group chat: each message goes to all members of the room, including the sender, in one order for all.
///
/// The request path is the room; `/` is the lobby. Clients that request the subprotocol ``subprotocol`` get names,
/// presence, history and the rest of <doc:Protocol>. The others speak the plain protocol, in which each message goes
/// unchanged to all members. Both are in the same rooms.
///
/// ```swift
/// let chat = Chat()
/// let server = try chat.makeServer(Configuration(mounts: [.chatPage]))
/// try await server.run()
/// ```
///
/// One chat serves all event loops of one or several servers. Any thread.
public final class Chat: Sendable {
  /// Subprotocol of the rich protocol (RFC 6455, section 1.9). `Configuration/subprotocols` must contain it;
  /// ``makeServer(_:handler:)`` adds it.
  public static let subprotocol = "chat.confab.v1"

  /// Limits of the chat.
  public let options: ChatOptions
  /// Engine that assigns offsets to messages.
  public let engine: any Engine
  let rooms: ChatRooms
  let moderation: Moderation
  private let pendingBytes: PendingBytes
  let errors = ErrorCounts()
  /// Nil if every client is admitted.
  let admission: Admission?

  /// Creates an empty chat.
  ///
  /// - Parameters:
  ///   - options: limits of the chat.
  ///   - engine: assigns offsets to messages and stores them. Its creator shuts it down after the server has stopped.
  ///   - admission: decides who a client is and what it may do. The default admits every client.
  public convenience init(
    options: ChatOptions = ChatOptions(), engine: any Engine = MemoryEngine(), admit admission: Admission = .open
  ) {
    self.init(options: options, engine: engine, admission, vacantRoomTimeout: .seconds(60))
  }

  /// Creates an empty chat with an ``Admission/init(admit:)``.
  ///
  /// - Parameters:
  ///   - options: limits of the chat.
  ///   - engine: assigns offsets to messages and stores them. Its creator shuts it down after the server has stopped.
  ///   - admit: returns who a client is and what it may do, or throws an ``AdmissionError``.
  public convenience init(
    options: ChatOptions = ChatOptions(), engine: any Engine = MemoryEngine(),
    admit: @escaping @Sendable (_ request: RequestHead, _ token: String?) async throws -> Identity
  ) {
    self.init(options: options, engine: engine, admit: Admission(admit: admit))
  }

  /// - Parameter vacantRoomTimeout: time for which vacant rooms stay in memory if the engine has their history.
  init(options: ChatOptions, engine: any Engine, _ admission: Admission = .open, vacantRoomTimeout: Duration) {
    (self.options, self.engine) = (options, engine)
    self.admission = admission.isOpen ? nil : admission
    rooms = ChatRooms(options, engine, vacantRoomTimeout: vacantRoomTimeout)
    moderation = Moderation(options, engine, rooms)
    pendingBytes = PendingBytes(limit: options.maxPendingBytes)
  }

  /// Whether messages are delivered now. Otherwise they are pending until the ``engine`` is back.
  public var isAvailable: Bool { engine.isAvailable }

  /// Creates a server of this chat. It speaks ``subprotocol`` even if `configuration` does not list it.
  ///
  /// - Parameters:
  ///   - configuration: all settings of the server.
  ///   - makeHandler: called once for each event loop, on its thread, when it starts. The default is ``handler(on:)``.
  ///     A custom handler can pass its calls on to the chat's handler.
  public func makeServer(
    _ configuration: Configuration = Configuration(), handler makeHandler: (@Sendable (EventLoop) -> any Handler)? = nil
  ) throws(ConfabError) -> Server {
    try Server(self.configuration(from: configuration), handler: makeHandler ?? handler)
  }

  /// Returns `configuration` with ``subprotocol`` added, for servers that ``makeServer(_:handler:)`` does not create.
  /// Without the subprotocol, all clients would speak the plain protocol.
  public func configuration(from configuration: Configuration) throws(ConfabError) -> Configuration {
    try options.validate()
    var configuration = configuration
    if !configuration.subprotocols.contains(Chat.subprotocol) { configuration.subprotocols.append(Chat.subprotocol) }
    return configuration
  }

  /// Returns the chat's handler for an event loop. It leaves `Connection/context` to the application.
  ///
  /// A custom handler that passes calls on to the chat's handler must also pass on `Handler/authorize(_:)`, and may add
  /// its own context: `chat.authorize(request).with(context: user)`. The handshake then succeeds only when the room is
  /// open. Otherwise the server does not read from the first client of a room until the room is open, and the client
  /// misses messages of others.
  @Sendable
  public func handler(on loop: EventLoop) -> any Handler { ChatHandler(chat: self, on: loop) }

  /// Occupied rooms, with their number of connections.
  public var occupancy: [String: Int] { rooms.occupancy }

  /// Memory used by the histories of all rooms, in bytes.
  public var historyBytes: Int { rooms.budget.bytes }

  /// Number of errors sent to clients of the rich protocol, by code, see <doc:Protocol>. It includes all codes.
  public var errorCounts: [String: Int] { errors.counts }

  /// Returns the quota of one call of the program; nil if the engine assigns offsets at once.
  func programQuota() -> PublisherQuota? { engine.isShared ? PublisherQuota(pendingBytes) : nil }

  /// Returns the quota of a connection for pending messages; nil if the engine assigns offsets at once.
  func quota(_ connection: Connection) -> PublisherQuota? {
    engine.isShared ? PublisherQuota(connection, pendingBytes) : nil
  }
}

extension CloseCode {
  /// Another connection of the client's session has replaced this one: private use, RFC 6455, section 7.4.2.
  static let replaced = CloseCode(rawValue: 4001)
  /// The client's identity has expired, and it has not sent a new token in time.
  static let tokenExpired = CloseCode(rawValue: 4002)
  /// The client is not admitted, has sent an event without the required right, or was kicked or banned.
  static let notAdmitted = CloseCode(rawValue: 4003)
}

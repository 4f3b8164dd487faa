public import Confab

/// A group chat: what one says comes back to the sender and goes to everyone else in the room, in one order for all.
///
/// The path of the request is the room; `/` is the lobby. Clients that ask for the subprotocol ``subprotocol`` get names,
/// presence, history and the rest of <doc:Protocol>; the others speak the plain protocol, in which each message goes to
/// everyone as it is. Both are in the same rooms.
///
/// ```swift
/// let chat = Chat()
/// let server = try chat.makeServer(Configuration(mounts: [.chatPage]))
/// try await server.run()
/// ```
///
/// One chat serves all event loops of a server, or of several. Any thread.
public final class Chat: Sendable {
  /// The subprotocol of the rich protocol (RFC 6455, section 1.9). It must be one of `Configuration/subprotocols`, which
  /// ``makeServer(_:handler:)`` sees to.
  public static let subprotocol = "chat.confab.v1"

  /// Its limits.
  public let options: ChatOptions
  /// Where messages get their order.
  public let engine: any Engine
  let rooms: ChatRooms
  private let waitingBytes: WaitingBytes
  let errors = ErrorCounts()

  /// A chat with these limits; nobody is in it yet.
  ///
  /// - Parameters:
  ///   - options: its limits.
  ///   - engine: where messages get their order, and where they are kept. Who has made it shuts it down, after the server
  ///     has ended.
  public convenience init(options: ChatOptions = ChatOptions(), engine: any Engine = MemoryEngine()) {
    self.init(options: options, engine: engine, linger: .seconds(60))
  }

  /// - Parameter linger: how long rooms stay that everyone has left, if the engine has their history.
  init(options: ChatOptions, engine: any Engine, linger: Duration) {
    (self.options, self.engine) = (options, engine)
    rooms = ChatRooms(options, engine, linger: linger)
    waitingBytes = WaitingBytes(limit: options.maxWaitingBytes)
  }

  /// Whether what is said is heard now; otherwise it waits until the ``engine`` is back.
  public var isAvailable: Bool { engine.isAvailable }

  /// A server of this chat, which speaks ``subprotocol`` whether `configuration` has it or not.
  ///
  /// - Parameters:
  ///   - configuration: every setting of the server.
  ///   - makeHandler: called once for each event loop, on its thread, when it starts: for a handler of yours that passes
  ///     calls on to that of ``handler(on:)``, which is the default.
  public func makeServer(
    _ configuration: Configuration = Configuration(), handler makeHandler: (@Sendable (EventLoop) -> any Handler)? = nil
  ) throws(ConfabError) -> Server {
    try Server(self.configuration(from: configuration), handler: makeHandler ?? handler)
  }

  /// What a server of this chat is configured with, if it is not made by ``makeServer(_:handler:)``: `configuration`, and
  /// ``subprotocol``, without which everyone would speak the plain protocol.
  public func configuration(from configuration: Configuration) throws(ConfabError) -> Configuration {
    try options.validate()
    var configuration = configuration
    if !configuration.subprotocols.contains(Chat.subprotocol) { configuration.subprotocols.append(Chat.subprotocol) }
    return configuration
  }

  /// The chat's handler for an event loop. It uses `Connection/context`.
  ///
  /// A handler of yours that passes calls on to it passes on `Handler/authorize(_:)`, too: then a client is connected when
  /// its room is open. Otherwise a client that is the first in a room misses what others say until then; what it says
  /// itself waits.
  @Sendable
  public func handler(on loop: EventLoop) -> any Handler { ChatHandler(chat: self, on: loop) }

  /// The rooms that somebody is in, with their number of connections.
  public var occupancy: [String: Int] { rooms.occupancy }

  /// The memory that the histories of all rooms take, in bytes.
  public var historyBytes: Int { rooms.budget.bytes }

  /// How often clients of the rich protocol have been told of an error, by its code: see <doc:Protocol>. All codes.
  public var errorCounts: [String: Int] { errors.counts }

  /// What `connection` says something as: nil if no message has to wait.
  func sender(_ connection: Connection) -> Sender? { engine.isShared ? Sender(connection, waitingBytes) : nil }
}

extension CloseCode {
  /// Another connection has taken over the name: private use, RFC 6455, section 7.4.2.
  static let replaced = CloseCode(rawValue: 4001)
}

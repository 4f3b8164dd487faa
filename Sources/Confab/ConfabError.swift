/// Why a server could not start, or a connection not be used.
public struct ConfabError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What went wrong. More may come: give a `switch` a `default`.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    public let description: String

    /// A setting has a value that can't work; the message names it.
    public static let invalidConfiguration = Code(description: "invalid configuration")
    /// The host could not be resolved.
    public static let unknownHost = Code(description: "unknown host")
    /// Another program listens on the port.
    public static let addressInUse = Code(description: "address in use")
    /// The system refused to listen, for another reason.
    public static let cannotListen = Code(description: "cannot listen")
    /// The certificate or key cannot be used.
    public static let invalidCertificate = Code(description: "invalid certificate")
    /// libwebsockets or libuv could not be set up.
    public static let engineFailed = Code(description: "engine failed")
    /// The file that a chat is to be kept in can't be opened, or is none.
    public static let historyUnusable = Code(description: "history unusable")
    /// The server has been started before. A server runs once.
    public static let alreadyStarted = Code(description: "already started")
    /// The call was made in a child of `fork()`. A server belongs to the process that made it.
    public static let forked = Code(description: "forked")
    /// The connection has ended, or is closing.
    public static let connectionClosed = Code(description: "connection closed")
  }

  /// Tells errors apart.
  public var code: Code
  /// One sentence: what was wrong, with the value, and what to do.
  public var message: String

  /// An error of that code.
  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  public var description: String { message }
}

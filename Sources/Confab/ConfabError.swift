/// An error of a server or a connection.
public struct ConfabError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The kind of an error. Later versions may add codes: give a `switch` a `default`.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    public let description: String

    /// A setting has an invalid value; the message names it.
    public static let invalidConfiguration = Code(description: "invalid configuration")
    /// The host could not be resolved.
    public static let unknownHost = Code(description: "unknown host")
    /// Another program listens on the port.
    public static let addressInUse = Code(description: "address in use")
    /// The system does not allow the server to listen, for another reason.
    public static let cannotListen = Code(description: "cannot listen")
    /// The certificate or key is unusable.
    public static let invalidCertificate = Code(description: "invalid certificate")
    /// A file has no key that can verify tokens.
    public static let invalidKey = Code(description: "invalid key")
    /// libwebsockets or libuv could not be initialized, or a thread could not be created.
    public static let libraryFailed = Code(description: "library failed")
    /// The chat's history file cannot be opened, or is not a valid one.
    public static let historyUnusable = Code(description: "history unusable")
    /// The server has been started before. A server runs once.
    public static let alreadyStarted = Code(description: "already started")
    /// The call was made in a child of `fork()`. A server belongs to the process that created it.
    public static let forked = Code(description: "forked")
    /// The connection is closing or closed.
    public static let connectionClosed = Code(description: "connection closed")
  }

  /// The kind of the error.
  public var code: Code
  /// One sentence: what was wrong, with the value, and what to do.
  public var message: String

  /// An error with that code.
  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  public var description: String { message }
}

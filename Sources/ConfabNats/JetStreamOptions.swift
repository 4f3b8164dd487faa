package import Confab
internal import ConfabChat
public import Logging

/// Addresses and stream settings of a ``JetStreamEngine``.
public struct JetStreamOptions: Sendable {
  /// Servers of one NATS cluster, `nats://host:4222` or `tls://user:password@host:4222`. libnats discovers the others.
  public var urls: [String]
  /// Credentials file, as created by `nsc`: a JWT and the seed of its key.
  public var credentialsFile: String?
  /// CA certificates (PEM) that verify the NATS server; nil means the system's CA certificates. The certificate must
  /// match the host name.
  public var caFile: String?
  /// Certificate chain (PEM) of the client. It requires ``keyFile``.
  public var certificateFile: String?
  /// Private key (PEM) of ``certificateFile``.
  public var keyFile: String?

  /// Name of the stream for the messages of all rooms: letters, digits, `-` and `_`. The stream is created if it does
  /// not exist. Its subjects are `confab.room.` followed by the room; instead of `confab`, they have the stream's name
  /// in lower case. Servers with the same stream are one chat.
  public var stream = "CONFAB"
  /// Number of NATS servers that store each message, 1, 3 or 5, if the stream is created. The default is 1.
  public var replicas = 1
  /// Maximum number of messages of each room, if the stream is created. Servers do not use more messages than their own
  /// history limit. The default is 1,000.
  public var maxMessagesPerRoom = 1000
  /// Maximum size of all messages on disk in bytes, if the stream is created; the oldest messages are deleted. The
  /// default is 1 GiB; 0 means no limit.
  public var maxBytes = 1 << 30
  /// Maximum age of messages, if the stream is created. The default is zero, which means no limit.
  public var maxAge = Duration.zero

  /// Maximum size of a client's message in bytes. A warning is logged if the brokers accept less. The default is 1 MiB
  /// less 8 KiB.
  public var maxMessageSize = 1 << 20 - maxHeaderSize

  /// Logger of the engine. The default has the label `confab.nats`.
  public var logger = Logger(label: "confab.nats")

  /// Maximum overhead of a message beside its bytes.
  package static let maxHeaderSize = 8 << 10

  /// Creates options for these servers, with the defaults.
  public init(urls: [String]) { self.urls = urls }

  var isSecure: Bool { caFile != nil || certificateFile != nil || urls.contains { $0.begins(with: "tls://") } }

  /// First part of all subjects.
  var prefix: String { stream.lowercased() }

  /// Maximum length of a room's name as a token of subjects. Lines of NATS have at most 4,096 bytes
  /// (`max_control_line`). They contain the subject and the reply, with the stream's name at most three times, and at
  /// most 400 bytes of other parts.
  var maxTokenLength: Int { 4096 - 400 - 3 * stream.utf8.count }

  /// Checks that the options are valid and their files are readable. It does not contact the brokers.
  public func validate() throws(JetStreamError) {
    if let problem = problems.first { throw JetStreamError(description: problem.message()) }
    do throws(NatsError) {
      try NatsConnection.check(self)
    } catch {
      throw JetStreamError(description: "NATS: \(error)")
    }
  }

  /// Problems of individual options.
  package var problems: [Problem] {
    var problems: [Problem] = []
    func require(_ condition: Bool, _ settings: String..., text: @escaping @Sendable ([String]) -> String) {
      if !condition { problems.append(Problem(settings, text: text)) }
    }
    require(!urls.isEmpty && urls.allSatisfy(JetStreamOptions.isURL), "urls") {
      // The value is left out, because it may contain a password.
      "\($0[0]) must be like nats://host:4222 or tls://host:4222"
    }
    let isName = !stream.isEmpty && stream.utf8.count <= 32 && stream.utf8.allSatisfy(Subject.isPlain)
    require(isName, "stream") { "\($0[0]) must be 1 to 32 of A to Z, a to z, 0 to 9, - and _" }
    require([1, 3, 5].contains(replicas), "replicas") { "\($0[0]) must be 1, 3 or 5, not \(replicas)" }
    require(maxBytes >= 0, "maxBytes") { "\($0[0]) must not be negative" }
    require((certificateFile == nil) == (keyFile == nil), "certificateFile", "keyFile") {
      "\($0[0]) and \($0[1]) need each other"
    }
    let files = [
      ("credentialsFile", credentialsFile), ("caFile", caFile), ("certificateFile", certificateFile),
      ("keyFile", keyFile),
    ]
    for (name, file) in files {
      guard let file, let reason = reasonNotToRead(file) else { continue }
      require(false, name) { "\($0[0]): '\(file)' cannot be read: \(reason)" }
    }
    if let file = credentialsFile, reasonNotToRead(file) == nil {
      require(JetStreamOptions.hasCredentials(file), "credentialsFile") {
        "\($0[0]): '\(file)' has no credentials: the JWT and the seed of a user of NATS"
      }
    }
    return problems
  }

  private static func isURL(_ text: String) -> Bool {
    guard let scheme = ["nats://", "tls://"].first(where: { text.begins(with: $0) }) else { return false }
    let rest = text.utf8.dropFirst(scheme.utf8.count)
    let start = rest.lastIndex(of: UInt8(ascii: "@")).map(rest.index(after:)) ?? rest.startIndex
    return Authority(String(Substring(rest[start...]))) != nil
  }

  /// Returns whether the file has credentials. libnats reads the file only when it connects, so errors would show up
  /// late.
  private static func hasCredentials(_ file: String) -> Bool {
    guard let bytes = fileContents(file) else { return false }
    let text = String(decoding: bytes, as: UTF8.self)
    return ["BEGIN NATS USER JWT", "BEGIN USER NKEY SEED"].allSatisfy(text.hasBytes)
  }

  /// Returns a URL without its password.
  package static func withoutSecret(_ url: String) -> String {
    let parts = url.parts(separatedBy: "/", maxSplits: 2)
    guard parts.count == 3, parts[1].isEmpty, let at = parts[2].utf8.lastIndex(of: UInt8(ascii: "@")) else {
      return url
    }
    return "\(parts[0])//...\(parts[2][at...])"
  }
}

/// Reason why a ``JetStreamEngine`` cannot be created.
public struct JetStreamError: Error, CustomStringConvertible {
  /// One line for operators.
  public let description: String
}

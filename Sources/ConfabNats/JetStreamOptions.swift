package import Confab
internal import FoundationEssentials
public import Logging

/// Where the brokers are, and what a ``JetStreamEngine`` keeps there.
public struct JetStreamOptions: Sendable {
  /// Servers of one NATS cluster, `nats://host:4222` or `tls://user:password@host:4222`; libnats learns of the others.
  public var urls: [String]
  /// A file of credentials, as `nsc` makes them: a JWT and the seed of its key.
  public var credentialsFile: String?
  /// The certificates to check the server's with, PEM; nil is those of the system. It is checked for the host's name.
  public var caFile: String?
  /// A certificate chain that proves who the client is, PEM. It needs ``keyFile``.
  public var certificateFile: String?
  /// The key of ``certificateFile``, PEM.
  public var keyFile: String?

  /// The stream that has the messages of all rooms, made if it is not there: letters, digits, `-` and `_`. Its subjects are
  /// `confab.room.` and the room, its name in lower case being the first part. Servers of the same stream are one chat.
  public var stream = "CONFAB"
  /// How many servers of the NATS cluster keep each message, 1, 3 or 5, if the stream is made. The default is 1.
  public var replicas = 1
  /// How many messages of each room are kept, if the stream is made; more than a room has are of no use. The default is
  /// 1,000.
  public var maxMessagesPerRoom = 1000
  /// The most bytes on disk for all rooms, if the stream is made: the oldest messages go. The default is 1 GiB; 0 is no
  /// limit.
  public var maxBytes = 1 << 30
  /// How long messages are kept, if the stream is made. The default is zero: as long as there is space.
  public var maxAge = Duration.zero

  /// Size of the largest message that clients may send, in bytes: a warning is logged when the brokers take less. The
  /// default is 1 MiB less 8 KiB.
  public var maxMessageSize = 1 << 20 - maxHeaderSize

  /// Where it logs. The default is a logger of the label `confab.nats`.
  public var logger = Logger(label: "confab.nats")

  /// Maximum size of what a message has beside its bytes.
  package static let maxHeaderSize = 8 << 10

  /// The defaults, for these servers.
  public init(urls: [String]) { self.urls = urls }

  var isSecure: Bool { caFile != nil || certificateFile != nil || urls.contains { $0.begins(with: "tls://") } }

  /// The first part of all subjects.
  var prefix: String { stream.lowercased() }

  /// Maximum length of a room's name as a token of subjects. NATS's lines have 4,096 bytes (`max_control_line`): subject and
  /// reply, in which the stream's name comes three times at the most, and 400 bytes of other parts.
  var maxTokenLength: Int { 4096 - 400 - 3 * stream.utf8.count }

  /// Finds out whether they can be used, and whether their files can be read; not whether the brokers are there.
  public func validate() throws(JetStreamError) {
    if let problem = problems.first { throw JetStreamError(description: problem.message()) }
    do throws(NatsConnection.Failure) {
      try NatsConnection.check(self)
    } catch {
      throw JetStreamError(description: "NATS: \(error)")
    }
  }

  /// All that is wrong by itself.
  package var problems: [Problem] {
    var problems: [Problem] = []
    func require(_ condition: Bool, _ settings: String..., text: @escaping @Sendable ([String]) -> String) {
      if !condition { problems.append(Problem(settings, text: text)) }
    }
    require(!urls.isEmpty && urls.allSatisfy(JetStreamOptions.isURL), "urls") {
      // Not what it is: there may be a password in it.
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

  /// libnats reads the file whenever it connects, so it would tell of it only then.
  private static func hasCredentials(_ file: String) -> Bool {
    guard let data = try? Data(contentsOf: URL(filePath: file)) else { return false }
    let text = String(decoding: data, as: UTF8.self)
    return ["BEGIN NATS USER JWT", "BEGIN USER NKEY SEED"].allSatisfy(text.hasBytes)
  }

  /// A URL without its password.
  package static func withoutSecret(_ url: String) -> String {
    let parts = url.parts(separatedBy: "/", maxSplits: 2)
    guard parts.count == 3, parts[1].isEmpty, let at = parts[2].utf8.lastIndex(of: UInt8(ascii: "@")) else {
      return url
    }
    return "\(parts[0])//...\(parts[2][at...])"
  }
}

/// What a ``JetStreamEngine`` cannot be made of, and why.
public struct JetStreamError: Error, CustomStringConvertible {
  /// One line for a human.
  public let description: String
}

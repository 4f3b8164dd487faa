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
  /// How many servers of the NATS cluster keep each message, 1 to 5, if the stream is made. The default is 1.
  public var replicas = 1
  /// How many messages of each room are kept, if the stream is made; more than a room has are of no use. The default is
  /// 1,000.
  public var maxMessagesPerRoom = 1000
  /// The most bytes on disk for all rooms, if the stream is made: the oldest messages go. The default is 1 GiB; 0 is no
  /// limit.
  public var maxBytes = 1 << 30
  /// How long messages are kept, if the stream is made. The default is zero: as long as there is space.
  public var maxAge = Duration.zero

  /// Where it logs. The default is a logger of the label `confab.nats`.
  public var logger = Logger(label: "confab.nats")

  /// The defaults, for these servers.
  public init(urls: [String]) { self.urls = urls }

  var isSecure: Bool { caFile != nil || certificateFile != nil || urls.contains { $0.hasPrefix("tls://") } }

  /// The first part of all subjects.
  var prefix: String { stream.lowercased() }

  /// Finds out whether they can be used, and whether their files can be read; not whether the brokers are there.
  public func validate() throws(JetStreamError) {
    if let flaw { throw JetStreamError(description: flaw) }
    do throws(NatsConnection.Failure) {
      try NatsConnection.check(self)
    } catch {
      throw JetStreamError(description: "NATS: \(error)")
    }
  }

  private var flaw: String? {
    let isName = !stream.isEmpty && stream.utf8.count <= 32 && stream.utf8.allSatisfy(Subject.isPlain)
    if urls.isEmpty { return "there is no URL of a NATS server" }
    if !isName { return "the stream's name is not 1 to 32 of A to Z, a to z, 0 to 9, - and _" }
    if !(1...5).contains(replicas) { return "a stream has 1 to 5 replicas" }
    if (certificateFile == nil) != (keyFile == nil) { return "a certificate for NATS and its key need each other" }
    return credentialsFile.flatMap(JetStreamOptions.flaw(ofCredentials:))
  }

  /// libnats reads the file whenever it connects, so it would tell of it only then.
  private static func flaw(ofCredentials file: String) -> String? {
    guard let data = try? Data(contentsOf: URL(filePath: file)) else { return "\(file) cannot be read" }
    let text = String(decoding: data, as: UTF8.self)
    let isWhole = ["BEGIN NATS USER JWT", "BEGIN USER NKEY SEED"].allSatisfy(text.contains)
    return isWhole ? nil : "\(file) has no credentials: the JWT and the seed of a user of NATS"
  }
}

/// What a ``JetStreamEngine`` cannot be made of, and why.
public struct JetStreamError: Error, CustomStringConvertible {
  /// One line for a human.
  public let description: String
}

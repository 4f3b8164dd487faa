#if NATS
  import ArgumentParser
  import Confab
  import ConfabChat
  import ConfabNats
  import Logging

  private let defaults = JetStreamOptions(urls: [])

  /// Options for the JetStream stream and the authentication with NATS.
  struct StreamOptions: ParsableArguments {
    @Option(
      help: ArgumentHelp(
        "Name of the JetStream stream. Servers with different streams are separate chats. A missing stream is created.",
        valueName: "name"))
    var natsStream = defaults.stream

    @Option(
      help: ArgumentHelp(
        "Number of NATS servers that store each message: 1, 3 or 5. Applies only when Confab creates the stream.",
        valueName: "count"))
    var natsReplicas = defaults.replicas

    @Option(
      help: ArgumentHelp(
        """
        Maximum disk space of the stream. At the limit, the oldest messages are deleted. Applies only when Confab \
        creates the stream. 0 means no limit.
        """,
        valueName: "size"))
    var natsMaxBytes = ByteCount(defaults.maxBytes)

    @Option(
      help: ArgumentHelp(
        "NATS credentials file (.creds), which contains a JWT and the private key (seed) of the NATS user.",
        valueName: "file"))
    var natsCreds: String?

    @Option(
      help: ArgumentHelp(
        "CA certificates (PEM) that verify the NATS server. (default: the system's)", valueName: "file"))
    var natsCa: String?

    @Option(help: ArgumentHelp("Client certificate chain (PEM) for NATS.", valueName: "file"))
    var natsCert: String?

    @Option(help: ArgumentHelp("Private key (PEM) of --nats-cert.", valueName: "file"))
    var natsKey: String?

    /// The names of the options that are not at their defaults.
    var given: [String] {
      let all = [
        ("natsStream", natsStream != defaults.stream), ("natsReplicas", natsReplicas != defaults.replicas),
        ("natsMaxBytes", natsMaxBytes.bytes != defaults.maxBytes), ("natsCreds", natsCreds != nil),
        ("natsCa", natsCa != nil), ("natsCert", natsCert != nil), ("natsKey", natsKey != nil),
      ]
      return all.filter(\.1).map(\.0)
    }

    /// Returns the problems of these options for the servers `nats`.
    func problems(for nats: [NatsURL], _ configuration: Configuration) -> [Problem] {
      guard !nats.isEmpty else {
        return given.map { name in Problem([name, "nats"]) { "\($0[0]) needs \($0[1])" } }
      }
      let options = options(nats, ChatOptions(), Logger(label: "confab"))
      var problems = options.problems
      if (1..<configuration.maxMessageSize + JetStreamOptions.maxHeaderSize).contains(options.maxBytes) {
        problems.append(
          Problem(["maxBytes", "maxMessageSize"]) {
            "\($0[0]) must be at least 8KiB more than \($0[1]): a larger message would be deleted at once"
          })
      }
      guard problems.isEmpty else { return problems }
      do throws(JetStreamError) {
        try options.validate()
      } catch {
        return [Problem(["urls"]) { _ in error.description }]
      }
      return []
    }

    func options(_ urls: [NatsURL], _ chat: ChatOptions, _ logger: Logger) -> JetStreamOptions {
      var options = JetStreamOptions(urls: urls.map(\.text))
      options.stream = natsStream
      options.replicas = natsReplicas
      options.maxBytes = natsMaxBytes.bytes
      options.maxMessagesPerRoom = chat.maxHistoryMessages
      options.maxAge = chat.maxHistoryAge
      options.credentialsFile = natsCreds
      options.caFile = natsCa
      options.certificateFile = natsCert
      options.keyFile = natsKey
      options.logger = logger
      return options
    }
  }
#endif

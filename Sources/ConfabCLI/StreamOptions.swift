import ArgumentParser
import ConfabChat
import ConfabNats
import Logging

private let defaults = JetStreamOptions(urls: [])

/// The stream that the messages are kept in, and what NATS lets the server in with.
struct StreamOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The stream's name: another one is another chat. It is made if it is not there.", valueName: "name"))
  var natsStream = defaults.stream

  @Option(
    help: ArgumentHelp(
      "How many servers of NATS keep each message, if the stream is made: 1, 3 or 5.", valueName: "count"))
  var natsReplicas = defaults.replicas

  @Option(
    help: ArgumentHelp(
      "Disk space for all rooms, if the stream is made. Over it: the oldest messages are forgotten. 0 is no limit.",
      valueName: "size"))
  var natsMaxBytes = ByteCount(defaults.maxBytes)

  @Option(help: ArgumentHelp("Credentials for NATS: a file with a JWT and the seed of its key.", valueName: "file"))
  var natsCreds: String?

  @Option(
    help: ArgumentHelp(
      "Certificates that NATS's is checked with, PEM. (default: those of the system)", valueName: "file"))
  var natsCa: String?

  @Option(help: ArgumentHelp("Certificate chain that NATS is shown, PEM.", valueName: "file"))
  var natsCert: String?

  @Option(help: ArgumentHelp("The key of --nats-cert, PEM.", valueName: "file"))
  var natsKey: String?

  /// The names of those that say something.
  var given: [String] {
    let all = [
      ("natsStream", natsStream != defaults.stream), ("natsReplicas", natsReplicas != defaults.replicas),
      ("natsMaxBytes", natsMaxBytes.bytes != defaults.maxBytes), ("natsCreds", natsCreds != nil),
      ("natsCa", natsCa != nil), ("natsCert", natsCert != nil), ("natsKey", natsKey != nil),
    ]
    return all.filter(\.1).map(\.0)
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

/// Where a server of NATS is, maybe with a password, which is not shown.
struct NatsURL: ExpressibleByArgument, CustomStringConvertible {
  let text: String

  /// Whatever it is: what is refused here would be shown.
  init?(argument: String) { text = argument }

  var description: String { JetStreamOptions.withoutSecret(text) }
}

internal import Confab
internal import ConfabChat

// Requests to and responses from JetStream's API: JSON,
// https://docs.nats.io/reference/reference-protocols/nats_api_reference

/// Configuration of the stream of all rooms, used to create it. Times are nanoseconds.
struct StreamConfig: Codable {
  let name: String
  let subjects: [String]
  var retention = "limits"
  var discard = "old"
  var storage = "file"
  let num_replicas: Int
  let max_msgs_per_subject: Int
  let max_bytes: Int
  let max_age: Int
  let duplicate_window: Int

  /// Duplicate window: time within which the stream recognises a message that is sent again.
  static let duplicateWindow = Duration.seconds(120)

  init(_ options: JetStreamOptions) {
    name = options.stream
    subjects = ["\(options.prefix).room.*"]
    num_replicas = options.replicas
    max_msgs_per_subject = max(1, options.maxMessagesPerRoom)
    max_bytes = options.maxBytes > 0 ? options.maxBytes : -1
    max_age = options.maxAge.nanoseconds
    duplicate_window =
      min(StreamConfig.duplicateWindow, options.maxAge > .zero ? options.maxAge : .seconds(120)).nanoseconds
  }

  /// The configuration of the stream of the restrictions. The stream keeps the last message of each restriction without
  /// a time limit.
  init(restrictionsOf options: JetStreamOptions) {
    name = options.restrictionStream
    subjects = [options.restrictionPrefix + "*"]
    num_replicas = options.replicas
    (max_msgs_per_subject, max_bytes, max_age) = (1, -1, 0)
    duplicate_window = StreamConfig.duplicateWindow.nanoseconds
  }

  /// Returns the reason why a stream with the configuration `other` cannot store the restrictions; nil if it can.
  func flaw(ofRestrictions other: StreamConfig) -> String? {
    if let flaw = flaw(of: other) { return flaw }
    if other.max_bytes > 0 || other.max_age > 0 {
      return "it deletes mutes and bans: max_bytes must be -1 and max_age 0"
    }
    return nil
  }

  /// Returns the reason why a stream with the configuration `other` is unusable; nil if it is usable.
  func flaw(of other: StreamConfig) -> String? {
    if other.subjects != subjects { return "its subjects are \(other.subjects) instead of \(subjects)" }
    if other.retention != retention { return "its retention is \(other.retention) instead of \(retention)" }
    if other.duplicate_window < StreamConfig.leastWindow.nanoseconds {
      return "its duplicate window is less than \(StreamConfig.leastWindow)"
    }
    return nil
  }

  private static let leastWindow = Duration.seconds(30)
}

struct StreamInfo: Decodable {
  let config: StreamConfig
  let created: String
  let state: State

  struct State: Decodable {
    let last_seq: Int
  }
}

/// Request for a consumer of one room. It uses no acknowledgements; gaps in its sequence numbers show lost deliveries.
struct ConsumerRequest: Encodable {
  let stream_name: String
  let config: Config

  struct Config: Encodable {
    let name: String
    let deliver_subject: String
    let deliver_policy: String
    let opt_start_seq: Int?
    let filter_subject: String
    var ack_policy = "none"
    var max_deliver = 1
    var replay_policy = "instant"
    var flow_control = true
    var idle_heartbeat = RoomReader.heartbeat.nanoseconds
    var inactive_threshold = Duration.seconds(10).nanoseconds
    var num_replicas = 1
    var mem_storage = true
  }
}

struct ConsumerInfo: Decodable {
  let num_pending: Int
  let delivered: Delivered

  struct Delivered: Decodable {
    let consumer_seq: Int
    /// Offset before the first message that the consumer can deliver, until it has delivered one.
    let stream_seq: Int
  }
}

/// Acknowledgement of a stored message.
struct PublishAck: Decodable {
  let seq: Int
  let duplicate: Bool?
}

/// Request to read or delete a message. The broker overwrites the bytes of a deleted message.
struct EntryRequest: Encodable {
  let seq: Int
}

struct EntryResponse: Decodable {
  struct Entry: Decodable {
    let subject: String
  }

  let message: Entry
}

struct DeleteResponse: Decodable {
  let success: Bool
}

/// Error of a request.
struct ApiError: Decodable, Error {
  let code: Int
  let err_code: Int?
  let description: String?

  var text: String { description ?? "error \(code)" }

  /// The request has no responders.
  static let noResponders = ApiError(code: 503, err_code: nil, description: "JetStream does not respond")
  static let unreadable = ApiError(code: 0, err_code: nil, description: "unreadable response")
  static let streamNotFound = 10_059
  static let streamNameInUse = 10_058

  /// Whether the message of a request does not exist. The code of a failed deletion does not show the cause, so the
  /// text is compared with nats-server's `ErrStoreMsgNotFound` (2.9 to 2.10).
  var isNotFound: Bool {
    switch err_code {
    case 10_037, 10_043: true
    case 10_057: description?.isSame(as: "no message found") ?? false
    default: false
    }
  }
}

enum Api {
  private struct Failed: Decodable {
    let error: ApiError
  }

  static func encode(_ request: some Encodable) -> [UInt8] {
    Json.encode(request) ?? []
  }

  /// Decodes the response or its error.
  static func decode<Answer: Decodable>(_ message: NatsMessage, as type: Answer.Type) -> Result<Answer, ApiError> {
    if message.headers["Status"] == "503" { return .failure(.noResponders) }
    if let answer = try? Json.decode(type, from: message.bytes) { return .success(answer) }
    return .failure((try? Json.decode(Failed.self, from: message.bytes).error) ?? .unreadable)
  }
}

extension Duration {
  var nanoseconds: Int { Int(components.seconds) * 1_000_000_000 + Int(components.attoseconds / 1_000_000_000) }
}

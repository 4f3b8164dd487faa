import ConfabChat
import FoundationEssentials

@testable import ConfabNats

/// NATS JetStream as servers of the chat see it: one stream, which can be away, have no majority, or begin anew.
final class SimulatedBroker {
  struct Stored {
    let number: Int
    let subject: String
    let headers: [String: String]
    let bytes: [UInt8]
  }

  /// What a stream has had from its beginning. Its place in ``streams`` is when it was made.
  struct Stream {
    let created: String
    var messages: [Stored] = []
    /// When each `Nats-Msg-Id` was stored, and as which number.
    var ids: [String: (number: Int, at: Duration)] = [:]
  }

  /// A message that a leader has, and the majority does not.
  private struct Proposal {
    let message: NatsMessage
    let link: SimulatedLink
    let isOfMinority: Bool
  }

  private final class Consumer {
    let link: SimulatedLink
    let subject: String
    let destination: String
    /// The index in the stream of what is to be sent next.
    var next = 0
    var sent = 0
    /// The replica that it is on has no more than so many messages.
    var view = Int.max
    var sentAt: Duration
    var wantedAt: Duration

    init(_ link: SimulatedLink, _ subject: String, _ destination: String, at now: Duration) {
      (self.link, self.subject, self.destination, sentAt, wantedAt) = (link, subject, destination, now, now)
    }
  }

  let world: World
  private(set) var streams: [Stream] = []
  private(set) var isUp = true
  private(set) var hasMajority = true
  private var hasStream = false
  private var consumers: [String: Consumer] = [:]
  private var proposals: [Proposal] = []
  /// How much less than it has the stream tells of itself.
  var modesty = 0

  init(_ world: World) { self.world = world }

  var consumerCount: Int { consumers.count }
  var isTroubled: Bool { !isUp || !hasMajority }

  /// The messages of a room in the stream that an epoch is of, oldest first.
  func messages(of subject: String, _ epoch: String) -> [Stored] {
    let created = epoch.prefix { $0 != " " }
    return streams.first { $0.created == created }?.messages.filter { $0.subject == subject } ?? []
  }

  func hasStored(_ bytes: [UInt8]) -> Bool { streams.contains { $0.messages.contains { $0.bytes == bytes } } }

  // MARK: Faults

  func stop() {
    world.trace("the broker stops")
    (isUp, proposals, consumers) = (false, [], [:])
    for link in world.links { link.cut() }
  }

  func start(anew: Bool) {
    world.trace(anew ? "the broker starts with nothing" : "the broker starts")
    if anew { hasStream = false }
    isUp = true
  }

  func loseMajority() {
    world.trace("the majority is lost")
    hasMajority = false
  }

  /// Another leader: it has some of what the one before had not got to the majority, in its order, or all.
  func findMajority() {
    world.trace("there is a majority")
    hasMajority = true
    settle(ofMinority: false, keeping: world.chance.hits(0.5) ? .max : Int.random(in: 0...2, using: &world.chance))
    // Those that the lost leader had are gone.
    for name in consumers.keys.sorted() where world.chance.hits(0.3) { consumers[name] = nil }
    for consumer in sortedConsumers { send(to: consumer) }
  }

  /// A leader without a majority has come back, and forgets what it alone had.
  func forgetMinority() { settle(ofMinority: true, keeping: 0) }

  private func settle(ofMinority isOfMinority: Bool, keeping count: Int) {
    let settled = proposals.filter { $0.isOfMinority == isOfMinority }
    proposals.removeAll { $0.isOfMinority == isOfMinority }
    for proposal in settled.prefix(count) { store(proposal.message, proposal.link) }
  }

  /// Has replicas catch up, consumers without a reader go, and silent ones say that they are there.
  func tick() {
    guard isUp else { return }
    for (name, consumer) in consumers.sorted(by: { $0.key < $1.key }) {
      if consumer.link.subscribes(to: consumer.destination) {
        consumer.wantedAt = world.timeline.now
      } else if world.timeline.now - consumer.wantedAt > .seconds(10) {
        consumers[name] = nil
        continue
      }
      if consumer.view != .max && world.chance.hits(0.3) { consumer.view = .max }
      send(to: consumer)
      if hasMajority, !consumer.link.isOfMinority, world.timeline.now - consumer.sentAt > RoomReader.heartbeat {
        consumer.sentAt = world.timeline.now
        consumer.link.deliver(
          NatsMessage(
            subject: consumer.destination, reply: "", headers: ["Nats-Last-Consumer": "\(consumer.sent)"], bytes: []),
          by: consumer.destination)
      }
    }
  }

  private var sortedConsumers: [Consumer] { consumers.sorted { $0.key < $1.key }.map(\.value) }

  // MARK: What comes

  func received(_ message: NatsMessage, from link: SimulatedLink) {
    guard isUp else { return }
    let tokens = message.subject.split(separator: ".").map(String.init)
    switch (tokens[0], tokens.count > 3 ? "\(tokens[2]).\(tokens[3])" : tokens[1]) {
    case ("$JS", "STREAM.INFO"), ("$JS", "STREAM.CREATE"):
      guard hasMajority, !link.isOfMinority else { return }
      if tokens[3] == "CREATE" && !hasStream { make() }
      answer(message, link, hasStream ? info : #"{"error":{"code":404,"err_code":10059}}"#)
    case ("$JS", "CONSUMER.CREATE"): makeConsumer(tokens[5], message, link)
    case ("$JS", "CONSUMER.DELETE"): consumers[tokens[5]] = nil
    case ("confab", "presence"): for other in world.links { other.deliver(message, by: message.subject) }
    case ("confab", "room"): take(message, link)
    default: preconditionFailure("\(message.subject) is none of a broker's")
    }
  }

  private func answer(_ message: NatsMessage, _ link: SimulatedLink, _ json: String, _ headers: [String: String] = [:])
  {
    link.deliver(
      NatsMessage(subject: message.reply, reply: "", headers: headers, bytes: Array(json.utf8)), by: message.reply)
  }

  private func make() {
    hasStream = true
    streams.append(Stream(created: "stream\(streams.count)"))
  }

  private var info: String {
    let config = String(decoding: Api.encode(StreamConfig(world.options)), as: UTF8.self)
    let last = max(0, streams[streams.count - 1].messages.count - modesty)
    return #"{"config":\#(config),"created":"\#(streams[streams.count - 1].created)","state":{"last_seq":\#(last)}}"#
  }

  // MARK: Messages

  private func take(_ message: NatsMessage, _ link: SimulatedLink) {
    guard hasStream else { return answer(message, link, "", ["Status": "503"]) }
    let id = message.headers[Delivery.idHeader]!
    let isProposed = proposals.contains {
      $0.isOfMinority == link.isOfMinority && $0.message.headers[Delivery.idHeader] == id
    }
    if let known = streams[streams.count - 1].ids[id], world.timeline.now - known.at < world.duplicateWindow,
      !link.isOfMinority
    {
      answer(message, link, #"{"stream":"CONFAB","seq":\#(known.number),"duplicate":true}"#)
    } else if isProposed {
      // 2.10.27 says the one, newer ones the other.
      answer(
        message, link,
        world.chance.hits(0.7)
          ? #"{"stream":"CONFAB","seq":0,"duplicate":true}"#
          : #"{"error":{"code":409,"err_code":10158,"description":"conflict"},"stream":"CONFAB","seq":0}"#)
    } else if hasMajority && !link.isOfMinority {
      store(message, link)
    } else {
      proposals.append(Proposal(message: message, link: link, isOfMinority: link.isOfMinority))
    }
  }

  private func store(_ message: NatsMessage, _ link: SimulatedLink) {
    let last = streams.count - 1
    let number = streams[last].messages.count + 1
    streams[last].messages.append(
      Stored(number: number, subject: message.subject, headers: message.headers, bytes: message.bytes))
    streams[last].ids[message.headers[Delivery.idHeader]!] = (number, world.timeline.now)
    answer(message, link, #"{"stream":"CONFAB","seq":\#(number)}"#)
    for consumer in sortedConsumers { send(to: consumer) }
  }

  // MARK: Consumers

  private struct Request: Decodable {
    let config: Config

    struct Config: Decodable {
      let deliver_subject: String
      let opt_start_seq: Int?
      let filter_subject: String
    }
  }

  private func makeConsumer(_ name: String, _ message: NatsMessage, _ link: SimulatedLink) {
    guard hasMajority, !link.isOfMinority else { return }
    guard hasStream else { return answer(message, link, #"{"error":{"code":404,"err_code":10059}}"#) }
    if world.faults.contains(.errors) && world.isTroubled && world.chance.hits(0.2) {
      return answer(message, link, #"{"error":{"code":500,"description":"not now"}}"#)
    }
    let config = try! JSONDecoder().decode(Request.self, from: Data(message.bytes)).config
    let consumer = Consumer(link, config.filter_subject, config.deliver_subject, at: world.timeline.now)
    consumer.next = (config.opt_start_seq ?? 1) - 1
    if world.faults.contains(.lag) && world.isTroubled && world.chance.hits(0.3) {
      consumer.view = max(
        consumer.next, streams[streams.count - 1].messages.count - Int.random(in: 0...4, using: &world.chance))
    }
    consumers[name] = consumer
    let messages = streams[streams.count - 1].messages
    let end = min(consumer.view, messages.count)
    let pending = messages[min(consumer.next, end)..<end].count { $0.subject == consumer.subject }
    answer(message, link, #"{"num_pending":\#(pending),"delivered":{"consumer_seq":0}}"#)
    send(to: consumer)
  }

  private func send(to consumer: Consumer) {
    guard hasMajority, hasStream, !consumer.link.isOfMinority, consumer.link.subscribes(to: consumer.destination) else {
      return
    }
    let messages = streams[streams.count - 1].messages
    let end = min(consumer.view, messages.count)
    while consumer.next < end {
      let stored = messages[consumer.next]
      consumer.next += 1
      guard stored.subject == consumer.subject else { continue }
      consumer.sent += 1
      consumer.sentAt = world.timeline.now
      let pending = messages[consumer.next..<end].count { $0.subject == consumer.subject }
      let name = consumers.first { $0.value === consumer }!.key
      consumer.link.deliver(
        NatsMessage(
          subject: stored.subject,
          reply: "$JS.ACK.CONFAB.\(name).1.\(stored.number).\(consumer.sent).\(stored.number * 1_000_000).\(pending)",
          headers: stored.headers, bytes: stored.bytes), by: consumer.destination)
    }
  }
}

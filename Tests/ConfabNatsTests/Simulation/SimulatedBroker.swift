import ConfabChat
import FoundationEssentials

@testable import ConfabNats

/// NATS JetStream as servers of the chat see it: one stream, which can be away, have no majority, or begin anew.
final class SimulatedBroker {
  struct Stored {
    let number: Int
    let headers: [String: String]
    let bytes: [UInt8]
  }

  /// What a stream has had from its beginning. Its place in ``streams`` is when it was made.
  struct Stream {
    let created: String
    var last = 0
    /// The messages of each room, by subject.
    var rooms: [String: [Stored]] = [:]
    var contents: Set<[UInt8]> = []
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
    let name: String
    let link: SimulatedLink
    let subject: String
    let destination: String
    /// The index among the room's messages of what is to be sent next.
    var next = 0
    var sent = 0
    /// The replica that it is on has no message of a higher number.
    var view = Int.max
    var sentAt: Duration
    var wantedAt: Duration

    init(_ name: String, _ link: SimulatedLink, _ subject: String, _ destination: String, at now: Duration) {
      (self.name, self.link, self.subject, self.destination) = (name, link, subject, destination)
      (sentAt, wantedAt) = (now, now)
    }
  }

  let world: World
  private(set) var streams: [Stream] = []
  private(set) var isUp = true
  private(set) var hasMajority = true
  private var hasStream = false
  private var consumers: [String: Consumer] = [:]
  private var proposals: [Proposal] = []
  let maxPayload = 1 << 20
  /// How much less than it has the stream tells of itself.
  var modesty = 0

  init(_ world: World) { self.world = world }

  var consumerCount: Int { consumers.count }
  var isTroubled: Bool { !isUp || !hasMajority }

  /// The messages of a room in the stream that an epoch is of, oldest first.
  func messages(of subject: String, _ epoch: String) -> [Stored] {
    let created = epoch.prefix { $0 != " " }
    return streams.first { $0.created == created }?.rooms[subject] ?? []
  }

  func hasStored(_ bytes: [UInt8]) -> Bool { streams.contains { $0.contents.contains(bytes) } }

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
      if !consumer.link.isOfMinority, world.timeline.now - consumer.sentAt > RoomReader.heartbeat {
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
    let last = max(0, streams[streams.count - 1].last - modesty)
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
    let index = streams.count - 1
    let number = streams[index].last + 1
    let stored = Stored(number: number, headers: message.headers, bytes: message.bytes)
    streams[index].last = number
    streams[index].rooms[message.subject, default: []].append(stored)
    streams[index].contents.insert(message.bytes)
    streams[index].ids[message.headers[Delivery.idHeader]!] = (number, world.timeline.now)
    // Nobody hears of it for a while.
    if world.isWorst(for: .cuts) { world.cut(link.server) }
    if world.isWorst(for: .noMajority) { return world.loseMajority() }
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
    let consumer = Consumer(name, link, config.filter_subject, config.deliver_subject, at: world.timeline.now)
    let messages = streams[streams.count - 1].rooms[consumer.subject] ?? []
    consumer.next = messages.firstIndex { $0.number >= config.opt_start_seq ?? 1 } ?? messages.count
    if world.faults.contains(.lag) && world.isTroubled && world.chance.hits(0.3) {
      consumer.view = streams[streams.count - 1].last - Int.random(in: 0...4, using: &world.chance)
    }
    consumers[name] = consumer
    answer(message, link, #"{"num_pending":\#(pending(of: consumer, in: messages)),"delivered":{"consumer_seq":0}}"#)
    send(to: consumer)
  }

  private func pending(of consumer: Consumer, in messages: [Stored]) -> Int {
    if consumer.view == .max { return messages.count - consumer.next }
    return messages[consumer.next...].count { $0.number <= consumer.view }
  }

  private func send(to consumer: Consumer) {
    guard hasMajority, hasStream, !consumer.link.isOfMinority, consumer.link.subscribes(to: consumer.destination) else {
      return
    }
    let messages = streams[streams.count - 1].rooms[consumer.subject] ?? []
    while consumer.next < messages.count, messages[consumer.next].number <= consumer.view {
      let stored = messages[consumer.next]
      consumer.next += 1
      consumer.sent += 1
      consumer.sentAt = world.timeline.now
      let pending = pending(of: consumer, in: messages)
      consumer.link.deliver(
        NatsMessage(
          subject: consumer.subject,
          reply:
            "$JS.ACK.CONFAB.\(consumer.name).1.\(stored.number).\(consumer.sent).\(stored.number * 1_000_000).\(pending)",
          headers: stored.headers, bytes: stored.bytes), by: consumer.destination)
    }
  }
}

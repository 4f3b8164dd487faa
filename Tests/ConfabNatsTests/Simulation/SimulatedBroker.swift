import ConfabChat
import FoundationEssentials

@testable import ConfabNats

/// NATS JetStream as seen by the chat's servers: one stream, which can be unreachable, lose its majority, or be
/// replaced.
final class SimulatedBroker {
  /// A message that a leader has and the majority does not have.
  private struct Proposal {
    let message: NatsMessage
    let link: SimulatedLink
    let isOfMinority: Bool
  }

  let world: World
  private(set) var streams: [SimulatedStream] = []
  /// Nil in a world without restrictions.
  let restrictions: SimulatedRestrictions?
  private(set) var isUp = true
  private var storedCount = 0
  private(set) var hasMajority = true
  private var hasStream = false
  private var consumers: [String: SimulatedConsumer] = [:]
  private var proposals: [Proposal] = []
  /// Maximum size of a message without its headers.
  let maxPayload = 10_000
  /// Number of messages by which the reported last number is too low.
  var modesty = 0

  init(_ world: World) {
    self.world = world
    restrictions = world.isModerated ? SimulatedRestrictions(world) : nil
  }

  var consumerCount: Int { consumers.count }
  var isTroubled: Bool { !isUp || !hasMajority }

  /// Returns the states of an epoch's stream, as indices of ``streams``.
  func states(of epoch: String) -> [Int] {
    let created = epoch.prefix { $0 != " " }
    return streams.indices.filter { streams[$0].created == created }
  }

  func hasStored(_ bytes: [UInt8]) -> Bool { streams.contains { $0.contents.contains(bytes) } }

  // MARK: Faults

  func stop() {
    world.trace("the broker stops")
    (isUp, proposals, consumers) = (false, [], [:])
    restrictions?.stop()
    for link in world.links { link.cut() }
  }

  func start(anew: Bool) {
    world.trace(anew ? "the broker starts without data" : "the broker starts")
    if anew {
      hasStream = false
      loseRestrictions(isOlder: false)
    }
    isUp = true
  }

  /// Restores an older state at the next start.
  func putBack() {
    guard hasStream, let newest = streams.last else { return }
    let last = max(newest.first() - 1, newest.last - Int.random(in: 0...15, using: &world.chance))
    world.trace("the broker is to start with an older state, up to \(last)")
    streams.append(newest.restored(to: last, limit: world.options.maxMessagesPerRoom))
    loseRestrictions(isOlder: true)
  }

  private func loseRestrictions(isOlder: Bool) {
    if isOlder { restrictions?.putBack() } else { restrictions?.lose() }
    for server in world.servers { server.moderator?.streamLost(isOlder: isOlder) }
  }

  /// Deletes the oldest messages of all rooms. Does nothing after an older state was restored, because a server cannot
  /// notice that state if the message that it compares is deleted.
  func deleteOldest() {
    guard isUp, hasStream, streams.filter({ $0.created == streams.last?.created }).count == 1 else { return }
    let stream = streams[streams.count - 1]
    let first = stream.first() + Int.random(in: 1...40, using: &world.chance)
    for subject in stream.rooms.keys { delete(subject) { $0.number < first } }
    world.trace("the stream begins with \(streams[streams.count - 1].first())")
  }

  /// Deletes the oldest messages of a room that match, and that the consumers of connected servers have delivered, so
  /// that servers that are briefly behind miss none.
  private func delete(_ subject: String, where isTooMuch: (SimulatedStream.Stored) -> Bool) {
    let consumers = consumers.values.filter { $0.subject == subject && $0.link.state == .connected }
    streams[streams.count - 1].delete(subject, before: consumers.map(\.next).min() ?? .max, where: isTooMuch)
  }

  func loseMajority() {
    world.trace("the majority is lost")
    hasMajority = false
  }

  /// Elects another leader. It has some or all of the previous leader's uncommitted messages, in order.
  func findMajority() {
    world.trace("there is a majority")
    hasMajority = true
    settle(ofMinority: false, keeping: world.chance.hits(0.5) ? .max : Int.random(in: 0...2, using: &world.chance))
    restrictions?.findMajority()
    // Consumers of the lost leader are lost.
    for name in consumers.keys.sorted() where world.chance.hits(0.3) { consumers[name] = nil }
    for consumer in sortedConsumers { send(to: consumer) }
  }

  /// Lets a leader without a majority return and drop the messages that only it has.
  func forgetMinority() {
    settle(ofMinority: true, keeping: 0)
    restrictions?.forgetMinority()
  }

  private func settle(ofMinority isOfMinority: Bool, keeping count: Int) {
    let settled = proposals.filter { $0.isOfMinority == isOfMinority }
    proposals.removeAll { $0.isOfMinority == isOfMinority }
    for proposal in settled.prefix(count) { store(proposal.message, proposal.link) }
  }

  /// Lets replicas catch up, removes consumers without a reader, and sends heartbeats of idle ones.
  func tick() {
    guard isUp else { return }
    restrictions?.tick()
    for consumer in sortedConsumers {
      guard consumer.isWanted(at: world.timeline.now) else {
        consumers[consumer.name] = nil
        continue
      }
      if consumer.isReplicaBehind && world.chance.hits(0.3) { consumer.catchUp() }
      send(to: consumer)
      consumer.beat(streams.last, at: world.timeline.now)
    }
  }

  private var sortedConsumers: [SimulatedConsumer] { consumers.sorted { $0.key < $1.key }.map(\.value) }

  // MARK: Requests

  func received(_ message: NatsMessage, from link: SimulatedLink) {
    guard isUp else { return }
    if restrictions?.received(message, from: link) ?? false { return }
    let tokens = message.subject.split(separator: ".").map(String.init)
    switch (tokens[0], tokens.count > 3 ? "\(tokens[2]).\(tokens[3])" : tokens[1]) {
    case ("$JS", "STREAM.INFO"), ("$JS", "STREAM.CREATE"):
      guard hasMajority, !link.isOfMinority else { return }
      if tokens[3] == "CREATE" && !hasStream { make() }
      answer(message, link, hasStream ? info : #"{"error":{"code":404,"err_code":10059}}"#)
    case ("$JS", "CONSUMER.CREATE"): makeConsumer(tokens[5], message, link)
    case ("$JS", "CONSUMER.DELETE"): consumers[tokens[5]] = nil
    case ("$JS", "STREAM.MSG"): tokens[4] == "GET" ? find(message, link) : erase(message, link)
    case ("confab", "presence"): for other in world.links { other.deliver(message, by: message.subject) }
    case ("confab", "room"): take(message, link)
    default: preconditionFailure("\(message.subject) is not a subject of a broker")
    }
  }

  private func answer(_ message: NatsMessage, _ link: SimulatedLink, _ json: String, _ headers: [String: String] = [:])
  {
    link.deliver(
      NatsMessage(subject: message.reply, reply: "", headers: headers, bytes: Array(json.utf8)), by: message.reply)
  }

  private func make() {
    hasStream = true
    streams.append(SimulatedStream(created: "stream\(streams.count)"))
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
      // 2.10.27 sends the first response, newer versions the second.
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

  /// Returns the number in a request, and the subject of the message with it; nil if there is none.
  private func entry(_ message: NatsMessage) -> (number: Int, subject: String?) {
    let number = (try! JSONDecoder().decode([String: Int].self, from: Data(message.bytes)))["seq"]!
    return (number, streams[streams.count - 1].subject(of: number))
  }

  private func find(_ message: NatsMessage, _ link: SimulatedLink) {
    guard hasStream else { return answer(message, link, "", ["Status": "503"]) }
    guard let subject = entry(message).subject else {
      return answer(message, link, #"{"error":{"code":404,"err_code":10037}}"#)
    }
    answer(message, link, #"{"message":{"subject":"\#(subject)"}}"#)
  }

  private func erase(_ message: NatsMessage, _ link: SimulatedLink) {
    guard hasStream else { return answer(message, link, "", ["Status": "503"]) }
    guard hasMajority, !link.isOfMinority else { return }
    let (number, subject) = entry(message)
    let index = streams.count - 1
    guard let subject else {
      return answer(message, link, #"{"error":{"code":400,"err_code":10057,"description":"no message found"}}"#)
    }
    let isChanged = streams.contains { $0.changes(number, in: subject) }
    world.require(isChanged, "\(number) was deleted, though no message of its room changes it")
    streams[index].erased.insert(number)
    world.trace("the stream erases \(number)")
    answer(message, link, #"{"success":true}"#)
  }

  private func store(_ message: NatsMessage, _ link: SimulatedLink) {
    let index = streams.count - 1
    storedCount += 1
    let number = streams[index].append(message, time: storedCount * 1_000_000, now: world.timeline.now)
    let kept = streams[index].kept(message.subject).filter { !streams[index].erased.contains($0.number) }
    let excess = kept.count - world.options.maxMessagesPerRoom
    if excess > 0 { delete(message.subject) { $0.number <= kept[excess - 1].number } }
    // The acknowledgement may be lost with the connection.
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
    let consumer = SimulatedConsumer(
      name, link, config.filter_subject, config.deliver_subject, at: world.timeline.now)
    let stream = streams[streams.count - 1]
    let isBehind = world.faults.contains(.lag) && world.isTroubled && world.chance.hits(0.3)
    let view = isBehind ? stream.last - Int.random(in: 0...4, using: &world.chance) : .max
    let start = consumer.begin(
      at: config.opt_start_seq ?? 1, in: stream, view: view, limit: world.options.maxMessagesPerRoom)
    consumers[name] = consumer
    let delivered = #"{"consumer_seq":0,"stream_seq":\#(start - 1)}"#
    answer(message, link, #"{"num_pending":\#(consumer.pending(in: stream)),"delivered":\#(delivered)}"#)
    send(to: consumer)
  }

  private func send(to consumer: SimulatedConsumer) {
    guard hasMajority, hasStream, !consumer.link.isOfMinority else { return }
    consumer.deliver(from: streams[streams.count - 1], at: world.timeline.now)
  }
}

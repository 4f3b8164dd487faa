import ConfabChat
import FoundationEssentials

@testable import ConfabNats

/// The stream of the restrictions at the broker. It has the newest message of each restriction.
final class SimulatedRestrictions {
  private struct Proposal {
    let message: NatsMessage
    let link: SimulatedLink
    let isOfMinority: Bool
  }

  let world: World
  /// Nil if the stream does not exist.
  private(set) var stream: SimulatedStream?
  /// When each message was stored.
  private(set) var times: [Int: Duration] = [:]
  private var creations = 0
  private var storedCount = 0
  private var consumers: [String: RestrictionConsumer] = [:]
  private var proposals: [Proposal] = []

  init(_ world: World) { self.world = world }

  var consumerCount: Int { consumers.count }
  private var sortedConsumers: [RestrictionConsumer] { consumers.sorted { $0.key < $1.key }.map(\.value) }

  /// Ids that have had messages.
  var ids: [String] { (stream?.rooms.keys.map(RestrictionConsumer.id) ?? []).sorted() }

  /// Returns all messages of a restriction since the stream was created, oldest first.
  func history(_ id: String) -> [SimulatedStream.Stored] { stream?.rooms[RestrictionConsumer.subject(id)] ?? [] }

  /// Returns the stored message of a restriction.
  func newest(_ id: String) -> SimulatedStream.Stored? {
    history(id).last.flatMap { stream?.erased.contains($0.number) == true ? nil : $0 }
  }

  /// Number of the newest message that is not deleted.
  var newestNumber: Int { ids.compactMap { newest($0)?.number }.max() ?? 0 }

  // MARK: Faults

  func stop() { (proposals, consumers) = ([], [:]) }

  func lose() { stream = nil }

  func putBack() {
    guard let newest = stream else { return }
    stream = newest.restored(to: max(0, newest.last - Int.random(in: 0...3, using: &world.chance)), limit: 1)
  }

  func findMajority() {
    settle(ofMinority: false, keeping: world.chance.hits(0.5) ? .max : Int.random(in: 0...2, using: &world.chance))
    for name in consumers.keys.sorted() where world.chance.hits(0.3) { consumers[name] = nil }
    deliver()
  }

  func forgetMinority() { settle(ofMinority: true, keeping: 0) }

  private func settle(ofMinority isOfMinority: Bool, keeping count: Int) {
    let settled = proposals.filter { $0.isOfMinority == isOfMinority }
    proposals.removeAll { $0.isOfMinority == isOfMinority }
    for proposal in settled.prefix(count) { store(proposal.message) }
  }

  func tick() {
    for consumer in sortedConsumers {
      guard consumer.isWanted(at: world.timeline.now) else {
        consumers[consumer.name] = nil
        continue
      }
      if world.chance.hits(0.3) { consumer.catchUp() }
      consumer.mayDeliver = true
      deliver(to: consumer)
      if let stream { consumer.beat(stream, at: world.timeline.now) }
    }
  }

  // MARK: Requests

  /// Whether a message is for this stream, and handles it.
  func received(_ message: NatsMessage, from link: SimulatedLink) -> Bool {
    let tokens = message.subject.split(separator: ".").map(String.init)
    if tokens[0] == "confab" && tokens[1] == "restriction" {
      take(message, link)
      return true
    }
    guard tokens.contains(world.options.restrictionStream) else { return false }
    let isReachable = world.broker.hasMajority && !link.isOfMinority
    switch (tokens[2], tokens[3]) {
    case ("CONSUMER", "DELETE"): consumers[tokens[5]] = nil
    case _ where !isReachable: break
    case ("STREAM", "CREATE"):
      if stream == nil { make() }
      answer(message, link, info)
    case ("STREAM", "INFO"): answer(message, link, stream == nil ? missing : info)
    case ("STREAM", "MSG"): erase(message, link)
    case ("CONSUMER", "CREATE"): makeConsumer(tokens[5], message, link)
    default: preconditionFailure("\(message.subject) is not a subject of the restrictions")
    }
    return true
  }

  private let missing = #"{"error":{"code":404,"err_code":10059}}"#

  private var info: String {
    let config = String(decoding: Api.encode(StreamConfig(restrictionsOf: world.options)), as: UTF8.self)
    return #"{"config":\#(config),"created":"\#(stream!.created)","state":{"last_seq":\#(stream!.last)}}"#
  }

  private func make() {
    creations += 1
    stream = SimulatedStream(created: "restrictions\(creations)")
    times = [:]
    world.trace("the stream of restrictions \(creations) is created")
  }

  private func answer(_ message: NatsMessage, _ link: SimulatedLink, _ json: String, _ headers: [String: String] = [:])
  {
    link.deliver(
      NatsMessage(subject: message.reply, reply: "", headers: headers, bytes: Array(json.utf8)), by: message.reply)
  }

  // MARK: Messages

  private func take(_ message: NatsMessage, _ link: SimulatedLink) {
    guard let stream else { return answer(message, link, "", ["Status": "503"]) }
    let id = message.headers[Delivery.idHeader]
    let isKnown = !link.isOfMinority
    if isKnown, let id, let known = stream.ids[id], world.timeline.now - known.at < world.duplicateWindow {
      answer(message, link, #"{"stream":"R","seq":\#(known.number),"duplicate":true}"#)
    } else if id != nil,
      proposals.contains(where: {
        $0.isOfMinority == link.isOfMinority && $0.message.headers[Delivery.idHeader] == id
      })
    {
      answer(message, link, #"{"stream":"R","seq":0,"duplicate":true}"#)
    } else if world.broker.hasMajority && isKnown {
      let number = store(message)
      // The acknowledgement may be lost with the connection.
      if world.isWorst(for: .cuts) { world.cut(link.server) }
      answer(message, link, #"{"stream":"R","seq":\#(number)}"#)
      deliver()
    } else {
      proposals.append(Proposal(message: message, link: link, isOfMinority: link.isOfMinority))
    }
  }

  @discardableResult private func store(_ message: NatsMessage) -> Int {
    guard var stream else { return 0 }
    storedCount += 1
    var headers = message.headers
    if headers[Delivery.idHeader] == nil { headers[Delivery.idHeader] = "other \(storedCount)" }
    let stored = NatsMessage(subject: message.subject, reply: "", headers: headers, bytes: message.bytes)
    let number = stream.append(stored, time: storedCount * 1_000_000, now: world.timeline.now)
    stream.delete(message.subject, before: .max) { $0.number < number }
    self.stream = stream
    times[number] = world.timeline.now
    world.trace(
      "restriction \(number) is stored: \(message.subject.suffix(32).prefix(4)), \(message.bytes.count) bytes")
    return number
  }

  private func erase(_ message: NatsMessage, _ link: SimulatedLink) {
    guard stream != nil else { return answer(message, link, "", ["Status": "503"]) }
    let number = (try! JSONDecoder().decode([String: Int].self, from: Data(message.bytes)))["seq"]!
    guard let subject = stream!.subject(of: number) else {
      return answer(message, link, #"{"error":{"code":400,"err_code":10057,"description":"no message found"}}"#)
    }
    let bytes = history(RestrictionConsumer.id(subject)).last!.bytes
    let restriction = bytes.isEmpty ? nil : Restriction(json: bytes)
    if let restriction {
      world.require(restriction.until ?? .max <= world.milliseconds, "restriction \(number) is deleted before its end")
    } else {
      world.require(bytes.isEmpty, "restriction \(number) is deleted, though it is unreadable")
      let age = world.timeline.now - times[number, default: .zero]
      world.require(age > .seconds(59), "the mark \(number) of a lifted restriction is deleted after \(age)")
    }
    stream!.erased.insert(number)
    world.trace("restriction \(number) is deleted")
    answer(message, link, #"{"success":true}"#)
  }

  /// Another program stores a message, or deletes the message of a restriction that cannot be read.
  func meddle(_ id: String) {
    guard stream != nil, world.broker.isUp, world.broker.hasMajority else { return }
    if let newest = newest(id), !newest.bytes.isEmpty, Restriction(json: newest.bytes) == nil {
      stream!.erased.insert(newest.number)
      world.trace("an operator deletes \(newest.number)")
    } else {
      store(
        NatsMessage(
          subject: RestrictionConsumer.subject(id), reply: "", headers: [:], bytes: [UInt8](repeating: 63, count: 3)))
      deliver()
    }
  }

  // MARK: Consumers

  private struct Request: Decodable {
    let config: Config

    struct Config: Decodable {
      let deliver_subject: String
      let deliver_policy: String
    }
  }

  private func makeConsumer(_ name: String, _ message: NatsMessage, _ link: SimulatedLink) {
    guard let stream else { return answer(message, link, missing) }
    if world.faults.contains(.errors) && world.broker.isTroubled && world.chance.hits(0.2) {
      return answer(message, link, #"{"error":{"code":500,"description":"not now"}}"#)
    }
    let config = try! JSONDecoder().decode(Request.self, from: Data(message.bytes)).config
    world.require(config.deliver_policy == "last_per_subject", "the consumer does not begin with the newest messages")
    let isBehind = world.faults.contains(.lag) && world.isTroubled && world.chance.hits(0.3)
    let consumer = RestrictionConsumer(
      name, link, config.deliver_subject, at: world.timeline.now,
      view: isBehind ? max(0, stream.last - Int.random(in: 0...4, using: &world.chance)) : .max,
      isSlow: world.isTroubled && world.chance.hits(0.2))
    consumers[name] = consumer
    let pending = consumer.pending(in: stream)
    answer(message, link, #"{"num_pending":\#(pending),"delivered":{"consumer_seq":0,"stream_seq":0}}"#)
    deliver(to: consumer)
  }

  private func deliver() { for consumer in sortedConsumers { deliver(to: consumer) } }

  private func deliver(to consumer: RestrictionConsumer) {
    guard world.broker.hasMajority, !consumer.link.isOfMinority, let stream else { return }
    consumer.deliver(from: stream, at: world.timeline.now)
  }
}

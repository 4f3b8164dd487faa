import ConfabChat
import FoundationEssentials

@testable import ConfabNats

/// NATS JetStream as seen by the chat's servers: one stream, which can be unreachable, lose its majority, or be
/// replaced.
final class SimulatedBroker {
  struct Stored {
    let number: Int
    /// Unique time at which it was stored.
    let at: Int
    let headers: [String: String]
    let bytes: [UInt8]
    /// Whether it was sent again after the stream had deleted it and forgotten its id.
    let isAgain: Bool

    /// Number of the earlier message that it changes; nil if it is a message.
    var target: Int? { removes ?? earlier("Confab-Edit") }
    /// Number of the earlier message that it removes.
    var removes: Int? { earlier("Confab-Removal") }

    private func earlier(_ header: String) -> Int? {
      headers[header].flatMap { Int($0) }.flatMap { $0 < number ? $0 : nil }
    }

    /// Whether a publication is this message. A message that was lost with a state of the stream may be stored again
    /// with the same number and text, but at another time.
    func matches(_ publication: Publication) -> Bool {
      publication.position == Position(offset: number, time: Int64(at / 1_000_000)) && publication.draft.bytes == bytes
    }
  }

  /// The history of a stream. ``streams`` has one for each creation of the stream, and one for each restoration of an
  /// older state.
  struct Stream {
    let created: String
    var last = 0
    /// Messages of each room by subject, including deleted ones.
    var rooms: [String: [Stored]] = [:]
    /// Number of deleted messages of each room, which are the oldest ones.
    var deleted: [String: Int] = [:]
    var contents: Set<[UInt8]> = []
    /// Numbers of the messages that servers have deleted.
    var erased: Set<Int> = []
    /// Time and number of each stored `Nats-Msg-Id`.
    var ids: [String: (number: Int, at: Duration)] = [:]

    /// Returns the messages of a room that are not deleted.
    func kept(_ subject: String) -> ArraySlice<Stored> { (rooms[subject] ?? []).dropFirst(deleted[subject] ?? 0) }
    /// Returns the messages that a replica has whose newest number is `view`, with the deletions that it knows of.
    func kept(_ subject: String, upTo view: Int, limit: Int) -> ArraySlice<Stored> {
      if view == .max { return kept(subject) }
      let known = (rooms[subject] ?? []).prefix { $0.number <= view }
      return known.dropFirst(min(deleted[subject] ?? 0, max(0, known.count - limit)))
    }
    /// Number of the oldest stored message.
    func first(upTo view: Int = .max, limit: Int = .max) -> Int {
      rooms.keys.compactMap { kept($0, upTo: view, limit: limit).first { !erased.contains($0.number) }?.number }.min()
        ?? min(last, view) + 1
    }
  }

  /// A message that a leader has and the majority does not have.
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
    /// Index of the next message to deliver among the room's messages.
    var next = 0
    var sent = 0
    /// Highest message number on the consumer's replica.
    var view = Int.max
    /// Whether the replica was behind when the consumer was made.
    var isBehind = false
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
  private var storedCount = 0
  private(set) var hasMajority = true
  private var hasStream = false
  private var consumers: [String: Consumer] = [:]
  private var proposals: [Proposal] = []
  /// Maximum size of a message without its headers.
  let maxPayload = 10_000
  /// Number of messages by which the reported last number is too low.
  var modesty = 0

  init(_ world: World) { self.world = world }

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
    for link in world.links { link.cut() }
  }

  func start(anew: Bool) {
    world.trace(anew ? "the broker starts without data" : "the broker starts")
    if anew { hasStream = false }
    isUp = true
  }

  /// Restores an older state at the next start.
  func putBack() {
    guard hasStream, let newest = streams.last else { return }
    var older = newest
    older.last = max(newest.first() - 1, newest.last - Int.random(in: 0...15, using: &world.chance))
    world.trace("the broker is to start with an older state, up to \(older.last)")
    older.rooms = newest.rooms.mapValues { $0.filter { $0.number <= older.last } }
    for (subject, count) in newest.deleted {
      // Messages that were deleted later are stored again.
      older.deleted[subject] = min(count, max(0, (older.rooms[subject]?.count ?? 0) - world.options.maxMessagesPerRoom))
    }
    older.erased = newest.erased.filter { $0 <= older.last }
    older.ids = newest.ids.filter { $0.value.number <= older.last }
    streams.append(older)
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
  private func delete(_ subject: String, where isTooMuch: (Stored) -> Bool) {
    let index = streams.count - 1
    let messages = streams[index].rooms[subject] ?? []
    let consumers = consumers.values.filter { $0.subject == subject && $0.link.state == .connected }
    let end = consumers.map(\.next).min() ?? messages.count
    var count = streams[index].deleted[subject] ?? 0
    while count < min(messages.count, end), isTooMuch(messages[count]) { count += 1 }
    streams[index].deleted[subject] = count
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
    // Consumers of the lost leader are lost.
    for name in consumers.keys.sorted() where world.chance.hits(0.3) { consumers[name] = nil }
    for consumer in sortedConsumers { send(to: consumer) }
  }

  /// Lets a leader without a majority return and drop the messages that only it has.
  func forgetMinority() { settle(ofMinority: true, keeping: 0) }

  private func settle(ofMinority isOfMinority: Bool, keeping count: Int) {
    let settled = proposals.filter { $0.isOfMinority == isOfMinority }
    proposals.removeAll { $0.isOfMinority == isOfMinority }
    for proposal in settled.prefix(count) { store(proposal.message, proposal.link) }
  }

  /// Lets replicas catch up, removes consumers without a reader, and sends heartbeats of idle ones.
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
            subject: consumer.destination, reply: "",
            headers: ["Nats-Last-Consumer": "\(consumer.sent)", "Nats-Last-Stream": "\(position(of: consumer))"],
            bytes: []),
          by: consumer.destination)
      }
    }
  }

  private var sortedConsumers: [Consumer] { consumers.sorted { $0.key < $1.key }.map(\.value) }

  // MARK: Requests

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
    let stream = streams[streams.count - 1]
    if stream.erased.contains(number) { return (number, nil) }
    return (number, stream.rooms.keys.first { room in stream.kept(room).contains { $0.number == number } })
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
    let isChanged = streams.contains { stream in
      let messages = stream.rooms[subject] ?? []
      let target = messages.first { $0.number == number }?.target
      return messages.contains { $0.removes == number || $0.target == target && target != nil && $0.number != number }
    }
    world.require(isChanged, "\(number) was deleted, though no message of its room changes it")
    streams[index].erased.insert(number)
    world.trace("the stream erases \(number)")
    answer(message, link, #"{"success":true}"#)
  }

  private func store(_ message: NatsMessage, _ link: SimulatedLink) {
    let index = streams.count - 1
    let number = streams[index].last + 1
    let known = streams[index].rooms[message.subject, default: []]
    let deleted = streams[index].deleted[message.subject] ?? 0
    storedCount += 1
    let stored = Stored(
      number: number, at: storedCount * 1_000_000, headers: message.headers, bytes: message.bytes,
      isAgain: known.prefix(deleted).contains { $0.bytes == message.bytes })
    streams[index].last = number
    streams[index].rooms[message.subject, default: []].append(stored)
    streams[index].contents.insert(message.bytes)
    streams[index].ids[message.headers[Delivery.idHeader]!] = (number, world.timeline.now)
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
    let consumer = Consumer(name, link, config.filter_subject, config.deliver_subject, at: world.timeline.now)
    let messages = streams[streams.count - 1].rooms[consumer.subject] ?? []
    if world.faults.contains(.lag) && world.isTroubled && world.chance.hits(0.3) {
      consumer.view = streams[streams.count - 1].last - Int.random(in: 0...4, using: &world.chance)
    }
    let stream = streams[streams.count - 1]
    let (view, limit) = (consumer.view, world.options.maxMessagesPerRoom)
    let first = stream.first(upTo: view, limit: limit)
    let start = min(max(config.opt_start_seq ?? 1, first), min(stream.last, view) + 1)
    let kept = stream.kept(consumer.subject, upTo: view, limit: limit)
    consumer.next = kept.firstIndex { $0.number >= start } ?? kept.endIndex
    consumer.isBehind = view != .max
    consumers[name] = consumer
    let delivered = #"{"consumer_seq":0,"stream_seq":\#(start - 1)}"#
    answer(message, link, #"{"num_pending":\#(pending(of: consumer, in: messages)),"delivered":\#(delivered)}"#)
    send(to: consumer)
  }

  private func pending(of consumer: Consumer, in messages: [Stored]) -> Int {
    let erased = streams[streams.count - 1].erased
    return messages[consumer.next...].count { $0.number <= consumer.view && !erased.contains($0.number) }
  }

  /// Returns the number up to which a consumer has delivered all messages.
  private func position(of consumer: Consumer) -> Int {
    guard let stream = streams.last else { return 0 }
    let messages = (stream.rooms[consumer.subject] ?? [])[
      min(consumer.next, stream.rooms[consumer.subject]?.count ?? 0)...]
    return messages.first { !stream.erased.contains($0.number) }.map { $0.number - 1 }
      ?? min(stream.last, consumer.view)
  }

  private func send(to consumer: Consumer) {
    guard hasMajority, hasStream, !consumer.link.isOfMinority, consumer.link.subscribes(to: consumer.destination) else {
      return
    }
    let messages = streams[streams.count - 1].rooms[consumer.subject] ?? []
    if !consumer.isBehind {
      consumer.next = max(consumer.next, streams[streams.count - 1].deleted[consumer.subject] ?? 0)
    }
    while consumer.next < messages.count, messages[consumer.next].number <= consumer.view {
      let stored = messages[consumer.next]
      consumer.next += 1
      if streams[streams.count - 1].erased.contains(stored.number) { continue }
      consumer.sent += 1
      consumer.sentAt = world.timeline.now
      let pending = pending(of: consumer, in: messages)
      consumer.link.deliver(
        NatsMessage(
          subject: consumer.subject,
          reply:
            "$JS.ACK.CONFAB.\(consumer.name).1.\(stored.number).\(consumer.sent).\(stored.at).\(pending)",
          headers: stored.headers, bytes: stored.bytes), by: consumer.destination)
    }
  }
}

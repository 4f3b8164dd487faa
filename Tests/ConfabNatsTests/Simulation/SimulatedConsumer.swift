@testable import ConfabNats

/// A consumer. It delivers the messages of a room to a server.
final class SimulatedConsumer {
  let name: String
  let link: SimulatedLink
  let subject: String
  let destination: String
  /// Index of the next message to deliver among the room's messages.
  private(set) var next = 0
  private var sent = 0
  /// Highest message number on the consumer's replica.
  private var view = Int.max
  /// Whether the replica was behind when the consumer was made.
  private var isBehind = false
  private var sentAt: Duration
  private var wantedAt: Duration

  init(_ name: String, _ link: SimulatedLink, _ subject: String, _ destination: String, at now: Duration) {
    (self.name, self.link, self.subject, self.destination) = (name, link, subject, destination)
    (sentAt, wantedAt) = (now, now)
  }

  /// Begins with the message `start`, or the oldest one. Its replica has the messages up to `view`. Returns the number of
  /// the first message.
  func begin(at start: Int, in stream: SimulatedStream, view: Int, limit: Int) -> Int {
    self.view = view
    let first = stream.first(upTo: view, limit: limit)
    let start = min(max(start, first), min(stream.last, view) + 1)
    let kept = stream.kept(subject, upTo: view, limit: limit)
    next = kept.firstIndex { $0.number >= start } ?? kept.endIndex
    isBehind = view != .max
    return start
  }

  /// Whether a reader has subscribed within the last 10 s.
  func isWanted(at now: Duration) -> Bool {
    if link.subscribes(to: destination) { wantedAt = now }
    return now - wantedAt <= .seconds(10)
  }

  var isReplicaBehind: Bool { view != .max }

  func catchUp() { view = .max }

  func pending(in stream: SimulatedStream) -> Int {
    (stream.rooms[subject] ?? [])[next...].count { $0.number <= view && !stream.erased.contains($0.number) }
  }

  /// Delivers the messages that the replica has.
  func deliver(from stream: SimulatedStream, at now: Duration) {
    guard link.subscribes(to: destination) else { return }
    let messages = stream.rooms[subject] ?? []
    if !isBehind { next = max(next, stream.deleted[subject] ?? 0) }
    while next < messages.count, messages[next].number <= view {
      let stored = messages[next]
      next += 1
      if stream.erased.contains(stored.number) { continue }
      (sent, sentAt) = (sent + 1, now)
      link.deliver(
        NatsMessage(
          subject: subject,
          reply: "$JS.ACK.CONFAB.\(name).1.\(stored.number).\(sent).\(stored.at).\(pending(in: stream))",
          headers: stored.headers, bytes: stored.bytes), by: destination)
    }
  }

  /// Sends a heartbeat if it has been idle.
  func beat(_ stream: SimulatedStream?, at now: Duration) {
    guard !link.isOfMinority, now - sentAt > RoomReader.heartbeat else { return }
    sentAt = now
    let position = stream.map(position) ?? 0
    link.deliver(
      NatsMessage(
        subject: destination, reply: "",
        headers: ["Nats-Last-Consumer": "\(sent)", "Nats-Last-Stream": "\(position)"], bytes: []),
      by: destination)
  }

  /// Returns the number up to which it has delivered all messages.
  private func position(in stream: SimulatedStream) -> Int {
    let messages = stream.rooms[subject] ?? []
    return messages[min(next, messages.count)...].first { !stream.erased.contains($0.number) }.map { $0.number - 1 }
      ?? min(stream.last, view)
  }
}

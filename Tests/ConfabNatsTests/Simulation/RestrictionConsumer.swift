@testable import ConfabNats

/// A consumer of the restrictions. It delivers the newest message of each to a server, and then all new messages.
final class RestrictionConsumer {
  let name: String
  let link: SimulatedLink
  private let destination: String
  /// Number up to which it has delivered everything.
  private var position = 0
  private var sent = 0
  /// Highest message number on the consumer's replica.
  private var view: Int
  /// Whether it delivers one message at a time, until it has delivered all of them.
  private var isSlow: Bool
  var mayDeliver = true
  private var sentAt: Duration
  private var wantedAt: Duration

  init(
    _ name: String, _ link: SimulatedLink, _ destination: String, at now: Duration, view: Int, isSlow: Bool
  ) {
    (self.name, self.link, self.destination, self.view, self.isSlow) = (name, link, destination, view, isSlow)
    (sentAt, wantedAt) = (now, now)
  }

  static func subject(_ id: String) -> String { "confab.restriction." + id }
  static func id(_ subject: String) -> String { String(subject.dropFirst("confab.restriction.".count)) }

  /// Whether a server has subscribed within the last 10 s.
  func isWanted(at now: Duration) -> Bool {
    if link.subscribes(to: destination) { wantedAt = now }
    return now - wantedAt <= .seconds(10)
  }

  func catchUp() { view = .max }

  /// The messages that the replica has and that are still to be delivered, oldest first.
  private func due(in stream: SimulatedStream) -> [(subject: String, message: SimulatedStream.Stored)] {
    stream.rooms.compactMap { subject, messages in
      messages.last { $0.number <= view }.flatMap { message in
        message.number <= position || stream.erased.contains(message.number) ? nil : (subject, message)
      }
    }.sorted { $0.1.number < $1.1.number }
  }

  func pending(in stream: SimulatedStream) -> Int { due(in: stream).count }

  /// Delivers the messages that the replica has.
  func deliver(from stream: SimulatedStream, at now: Duration) {
    guard link.subscribes(to: destination) else { return }
    let due = due(in: stream)
    for (index, (subject, message)) in due.enumerated() {
      if isSlow && !mayDeliver { return }
      mayDeliver = false
      (position, sent, sentAt) = (message.number, sent + 1, now)
      link.deliver(
        NatsMessage(
          subject: subject,
          reply: "$JS.ACK.R.\(name).1.\(message.number).\(sent).\(message.at).\(due.count - index - 1)",
          headers: message.headers, bytes: message.bytes), by: destination)
    }
    (position, isSlow) = (max(position, min(view, stream.last)), false)
  }

  /// Sends a heartbeat if it has been idle.
  func beat(_ stream: SimulatedStream, at now: Duration) {
    guard !link.isOfMinority, now - sentAt > RoomReader.heartbeat else { return }
    sentAt = now
    link.deliver(
      NatsMessage(
        subject: destination, reply: "",
        headers: ["Nats-Last-Consumer": "\(sent)", "Nats-Last-Stream": "\(position)"], bytes: []),
      by: destination)
  }
}

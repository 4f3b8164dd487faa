import Confab

@testable import ConfabChat
@testable import ConfabNats

/// A server on NATS that receives arbitrary messages from the broker, other servers and strangers that publish to its
/// subjects. It must survive, and its room's events must be encodable.
func fuzzStream(_ input: inout Input) {
  var server = Server(
    historyLimit: input.element(of: [0, 1, 1000]), nameLimit: input.element(of: [1, 32, Name.greatestLimit]))
  for _ in 0..<300 where !input.isEmpty { server.step(&input) }
  server.look()
}

private struct Server {
  private var state: JetStreamState
  private var now = ContinuousClock.now
  private let room: ChatRoom
  private let inbox: String

  init(historyLimit: Int, nameLimit: Int) {
    var options = ChatOptions()
    (options.maxHistoryMessages, options.maxNameLength) = (historyLimit, nameLimit)
    room = ChatRoom(
      name: "/", options: options, budget: HistoryBudget(limit: 1 << 20), engine: MemoryEngine())
    state = JetStreamState(JetStreamOptions(urls: ["nats://localhost"]), instance: 1, now: now)
    inbox = state.inbox
    handle(.open(1, "/", room))
    handle(.event(.connected(maxPayload: 1 << 20)))
  }

  mutating func step(_ input: inout Fuzz.Input) {
    switch input.index(below: 10) {
    case 0: handle(.event(input.flag() ? .connected(maxPayload: number(&input)) : .disconnected))
    case 1:
      now += .milliseconds(Int(input.byte()) * 40)
      change { $0.tick($1, &$2) }
    case 2: handle(.publish(1, Draft(kind: .text, bytes: [65], tag: "t\(input.index(below: 4))"), nil, publisher: 1))
    case 3: look()
    default: handle(.event(.message(message(&input))))
    }
  }

  private mutating func handle(_ input: ConfabNats.Input) { change { $0.handle(input, now: $1, &$2) } }

  private mutating func change(_ body: (inout JetStreamState, ContinuousClock.Instant, inout Effects) -> Void) {
    var effects = Effects()
    body(&state, now, &effects)
    state.send(now, &effects)
    state.reportAvailability(&effects)
    for call in effects.calls { call.perform { _, _, _ in } }
  }

  /// Returns a message that is almost valid.
  private func message(_ input: inout Fuzz.Input) -> NatsMessage {
    let number = number(&input)
    let subject = input.element(of: [
      "\(inbox).stream", "\(inbox).ack.\(number)", "\(inbox).stored.\(number)", "\(inbox).erased.\(number)",
      "\(inbox).made.1.\(input.index(below: 3))",
      "\(inbox).read.1.\(input.index(below: 3))", "\(inbox)\(input.line())", "confab.room.\(Subject.escaped("/"))",
      "confab.presence.\(Subject.escaped("/"))", input.line(),
    ])
    let reply = input.element(of: [
      "", "$JS.ACK.confab.\(state.consumer(1, input.index(below: 3))).1.\(number).\(self.number(&input)).1.0",
      "$JS.ACK._.a.confab.\(state.consumer(1, 0)).1.\(number).1.\(self.number(&input)).\(self.number(&input)).x",
      input.line(),
    ])
    let names = [
      "Status", "Nats-Msg-Id", "Confab-Kind", "Confab-Name", "Confab-Member", "Confab-Tag", "Nats-Last-Consumer",
      "Confab-Edit", "Confab-Removal",
    ]
    var headers: [String: String] = [:]
    for _ in 0..<input.index(below: 4) { headers[input.element(of: names)] = input.flag() ? input.line() : "\(number)" }
    return NatsMessage(subject: subject, reply: reply, headers: headers, bytes: bytes(number, &input))
  }

  private func number(_ input: inout Fuzz.Input) -> Int {
    input.element(of: [0, 1, 2, 3, -1, Int(UInt32.max), 1 << 53, .max - 1, .max, .min, Int(input.byte())])
  }

  private func bytes(_ number: Int, _ input: inout Fuzz.Input) -> [UInt8] {
    let other = self.number(&input)
    let session = String(repeating: input.element(of: ["a", "b", "g"]), count: 48)
    let stream =
      #"{"config":{"name":"confab","subjects":["confab.room.*"],"retention":"limits","discard":"old","storage":"file","#
      + #""num_replicas":1,"max_msgs_per_subject":\#(other),"max_bytes":-1,"max_age":0,"duplicate_window":\#(number)},"#
      + #""created":"\#(input.index(below: 2))","state":{"last_seq":\#(other)}}"#
    let json = input.element(of: [
      stream, #"{"seq":\#(number),"duplicate":\#(input.flag())}"#,
      #"{"num_pending":\#(number),"delivered":{"consumer_seq":\#(other)}}"#,
      #"{"error":{"code":\#(number),"err_code":\#(other)}}"#,
      #"{"server":"\#(input.index(below: 3))","attendance":{"count":\#(number),"people":["#
        + #"{"name":"\#(input.line())","session":"\#(session)","visits":\#(other)}]}}"#,
      #"{"server":"\#(input.index(below: 4))","asks":true,"typing":"\#(input.line())"}"#, input.line(),
    ])
    return Array(json.utf8)
  }

  /// Encodes what a client would get.
  func look() {
    for request in [(nil, 0), (Int.max, nil)] as [(Int?, Int?)] {
      let page = room.page(.init(before: request.0, after: request.1, count: 100))
      require(page.map { !$0.json.isEmpty } ?? true, "a page without bytes")
    }
    let count = room.memberCount
    require(0...1 << 40 ~= count, "\(count) members")
  }
}

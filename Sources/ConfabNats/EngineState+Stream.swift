internal import Logging

// The stream is looked for when there is a connection, and made if it is not there.
extension EngineState {
  mutating func lookForStream(_ now: Instant, _ effects: inout Effects) {
    phase = .asking(now)
    // Not before all has been read that there is, see ``send(_:_:)``.
    outbox.putBackAll()
    effects.publish("$JS.API.STREAM.INFO.\(options.stream)", reply: "\(inbox).stream")
  }

  mutating func streamFound(_ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    guard case .asking = phase else { return }
    switch Api.decode(message, as: StreamInfo.self) {
    case .success(let info):
      if let flaw = StreamConfig(options).flaw(of: info.config) {
        warn("the stream \(options.stream) cannot be used: \(flaw)", now, &effects)
      } else {
        begin(info, now, &effects)
      }
    case .failure(let error) where error.err_code == ApiError.streamNotFound:
      effects.publish(
        "$JS.API.STREAM.CREATE.\(options.stream)", reply: "\(inbox).stream", bytes: Api.encode(StreamConfig(options)))
    // Somebody has just made it with other settings.
    case .failure(let error) where error.err_code == ApiError.streamNameInUse: phase = .asking(now - .seconds(2))
    case .failure(let error): warn("the stream \(options.stream) is not there: \(error.text)", now, &effects)
    }
  }

  /// The stream has another message under a number that it had given, say since an older state of it has been put back:
  /// another epoch begins.
  mutating func renumber(_ now: Instant, _ effects: inout Effects) {
    effects.logs.append((.error, "the stream has another message under a number that another one had"))
    created = ""
    suspendReaders(now)
    lookForStream(now, &effects)
  }

  /// The stream is there: all rooms are read from where they were.
  mutating func begin(_ info: StreamInfo, _ now: Instant, _ effects: inout Effects) {
    let newest = rooms.values.map(\.reader.position).max() ?? 0
    if info.created == created && info.state.last_seq < newest {
      // A server that has just become the leader may be behind for a moment.
      losses += 1
      if losses < 5 { return }
      effects.logs.append(
        (.error, "the stream has lost messages: \(info.state.last_seq) is its newest, it was \(newest)"))
      created = ""
    }
    losses = 0
    let limit = info.config.max_msgs_per_subject
    roomLimit = limit > 0 ? limit : .max
    if info.created != created {
      // Another numbering begins. What other servers call it is the same unless this one has seen a loss.
      if epoch == nil || !created.isEmpty {
        epoch = info.created
      } else {
        lossCount += 1
        epoch = "\(info.created) \(instance) \(lossCount)"
      }
      created = info.created
      for number in rooms.keys { rooms[number]?.reader.forget() }
    }
    phase = .ready
    warnedAt = nil
    asked = []
    opening = []
    for number in rooms.keys.sorted() { restart(number, at: now, &effects) }
    effects.logs.append((.notice, "the stream \(options.stream) is there, of \(info.created)"))
  }
}

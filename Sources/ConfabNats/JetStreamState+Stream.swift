internal import DequeModule
internal import Logging

// The stream is looked up on each connection, and created if it does not exist.
extension JetStreamState {
  mutating func lookForStream(_ now: Instant, _ effects: inout Effects) {
    phase = .asking(now)
    // Messages are sent only after the rooms have been read, see ``send(_:_:)``.
    publishQueue.resendAll()
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
    // Another server has just created the stream with other settings.
    case .failure(let error) where error.err_code == ApiError.streamNameInUse: phase = .asking(now - .seconds(2))
    case .failure(let error): warn("the stream \(options.stream) is unavailable: \(error.text)", now, &effects)
    }
  }

  /// Begins another epoch, because the stream has a different message under a known offset. This happens for example
  /// when an older state of the stream was restored.
  mutating func renumber(_ now: Instant, _ effects: inout Effects) {
    effects.logs.append((.error, "the stream has a different message under a known offset: a new epoch begins"))
    created = ""
    suspendReaders(now)
    lookForStream(now, &effects)
  }

  /// Resumes reading all rooms, because the stream exists.
  mutating func begin(_ info: StreamInfo, _ now: Instant, _ effects: inout Effects) {
    let newest = rooms.values.map(\.reader.position).max() ?? 0
    if info.created == created && info.state.last_seq < newest {
      // A new leader may be briefly behind.
      losses += 1
      if losses < 5 { return }
      effects.logs.append(
        (.error, "the stream has lost messages: its newest is \(info.state.last_seq), it was \(newest)"))
      created = ""
    }
    losses = 0
    let limit = info.config.max_msgs_per_subject
    roomLimit = limit > 0 ? limit : .max
    if info.created != created {
      // The epoch is the stream's creation time, which all servers use. After a loss of messages, it is unique to this
      // server.
      if epoch == nil || !created.isEmpty {
        epoch = info.created
      } else {
        lossCount += 1
        epoch = "\(info.created) \(instance) \(lossCount)"
      }
      created = info.created
      erasures.removeAll()
      for number in rooms.keys { rooms[number]?.reader.reset() }
    }
    phase = .ready
    warnedAt = nil
    requested = []
    opening = []
    for number in rooms.keys.sorted() { restart(number, at: now, &effects) }
    effects.logs.append((.notice, "found the stream \(options.stream), created \(info.created)"))
  }
}

/// The work that comes up in a turn of an event loop, and is done when the turn ends. So everything that one turn has
/// received is written at once.
final class Turn {
  private let uv: UvLoop
  private var fanouts: ContiguousArray<Fanout> = []
  private var connections: ContiguousArray<Connection> = []
  // The work in progress. Work that comes up meanwhile is for the next turn. All arrays keep their memory.
  private var currentFanouts: ContiguousArray<Fanout> = []
  private var currentConnections: ContiguousArray<Connection> = []
  private var burst = Burst()
  private var isPollingOnceMore = false
  /// Bytes that the fan-outs may still write in this turn, see ``Fanout/flush()``.
  private var deliveryBudget = 0
  /// See ``Configuration/maxTurnDelivery``.
  private let maxDelivery: Int

  init(on uv: UvLoop, maxDelivery: Int) { (self.uv, self.maxDelivery) = (uv, maxDelivery) }

  /// Schedules `fanout` to be written when the turn ends.
  func schedule(_ fanout: Fanout) { fanouts.append(fanout) }

  /// Schedules the connection's own backlog to be written when the turn ends.
  func schedule(_ connection: Connection) {
    if connection.writing.schedule() { connections.append(connection) }
  }

  /// Counts received bytes, to recognize bursts.
  func noteRead(of count: Int) { burst.note(count) }

  /// Counts bytes that a fan-out has written.
  func noteDelivery(of count: Int) { deliveryBudget -= count }

  /// Whether the fan-outs have written enough in this turn.
  var hasDeliveredEnough: Bool { deliveryBudget <= 0 }

  /// Called when all readable sockets have been read. Returns whether the turn ends. Otherwise the sockets are polled
  /// once more.
  func endsAfterPoll() -> Bool {
    isPollingOnceMore = burst.goesOn()
    if isPollingOnceMore { uv.pollWithoutBlocking() }
    return !isPollingOnceMore
  }

  /// Called before a poll. Returns whether the turn ends: the output of timers and jobs does not wait for the poll.
  var endsBeforePoll: Bool { !isPollingOnceMore }

  /// Writes all pending data, once. Data that comes up meanwhile, from other loops or from handlers, is written after
  /// the sockets have been polled again, so that it cannot keep the loop from polling.
  func write() {
    deliveryBudget = maxDelivery
    swap(&fanouts, &currentFanouts)
    for fanout in currentFanouts { fanout.flush() }
    currentFanouts.removeAll(keepingCapacity: true)
    swap(&connections, &currentConnections)
    for connection in currentConnections { connection.writeScheduled() }
    currentConnections.removeAll(keepingCapacity: true)
    if !fanouts.isEmpty || !connections.isEmpty { uv.pollWithoutBlocking() }
  }

  /// Releases the connections, which refer to the loop, when the loop has ended.
  func end() { connections = [] }
}

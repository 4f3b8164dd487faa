public import Confab
public import ConfabChat
internal import Dispatch
public import Logging
internal import Synchronization

/// Keeps the rooms of a chat in a file, a database of SQLite: they are there again when the server is started again.
///
/// ```swift
/// let history = try SQLiteEngine(file: "chat.db", options: options)
/// let chat = Chat(options: options, engine: history)
/// ```
///
/// Messages are written by a thread of its own, many at a time. What is kept of a room are its newest messages, within
/// the limits that the chat's options have for its memory. When the file can't be written, a full disk say, an error is
/// logged, ``isKept`` is false, and the chat goes on from memory. What could not be written is written once that is
/// possible: the newest messages of each room, 64 MiB in all.
public final class SQLiteEngine: Engine {
  /// When a message is on the disk.
  public enum Durability: String, Sendable, CaseIterable {
    /// Within 100 ms of its delivery. What a killed process had not written yet is lost, and if the machine fails, what
    /// the system had not.
    case normal
    /// Before anybody gets it, the sender included, whatever fails afterwards: as long as the file can be written.
    case full
  }

  public let isShared = true
  public let isAvailable = true
  public var isKept: Bool { !writer.isFailing.load(ordering: .relaxed) }

  private let durability: Durability
  /// Has something done on the queue, in a while.
  private let schedule: Schedule
  private let jobs = Mutex(Jobs())
  private let writer: Writer

  /// What the queue is to do.
  private struct Jobs {
    var list: [Job] = []
    /// The bytes of messages that are to be written, and what they take beside.
    var bytes = 0
    var due = Due.never
    var isEnded = false
  }

  /// When it is done: there is nothing to do, in a while, or as soon as possible.
  private enum Due { case never, soon, now }

  /// When so many bytes wait to be written, what comes is delivered after it has been, as with ``Durability/full``.
  private static let maxBytes = 16 << 20
  private static let overhead = 256
  private static let interval = DispatchTimeInterval.milliseconds(50)
  /// When what could not be written is tried again.
  private static let retryInterval = DispatchTimeInterval.seconds(1)

  typealias Schedule = @Sendable (_ delay: DispatchTimeInterval, _ work: @escaping @Sendable () -> Void) -> Void

  /// Opens the file, or makes it. No other process may have it open.
  ///
  /// - Parameters:
  ///   - file: its path. Beside it, while it is open, is another one with `-wal` at its end.
  ///   - durability: when messages are on the disk.
  ///   - maxFileSize: bytes; the rooms in which nothing has been said for the longest time are forgotten when there is more.
  ///     The default is 1 GiB.
  ///   - options: those of the chat.
  ///   - logger: for what goes wrong.
  public convenience init(
    file: String, durability: Durability = .normal, maxFileSize: Int = 1 << 30, options: ChatOptions = ChatOptions(),
    logger: Logger = Logger(label: "confab")
  ) throws(ConfabError) {
    let queue = DispatchQueue(label: "confab.history")
    try self.init(file, durability, maxFileSize, options, logger, hook: nil) { delay, work in
      delay == .never ? queue.async(execute: work) : queue.asyncAfter(deadline: .now() + delay, execute: work)
    }
  }

  /// - Parameters:
  ///   - hook: nil, but for tests.
  ///   - schedule: has something done in a while, or, if that is `never`, as soon as possible; one after the other.
  init(
    _ file: String, _ durability: Durability, _ maxFileSize: Int, _ options: ChatOptions, _ logger: Logger,
    maxUnwrittenBytes: Int = 64 << 20, hook: StepHook?, schedule: @escaping Schedule
  ) throws(ConfabError) {
    (self.durability, self.schedule) = (durability, schedule)
    let retention = HistoryFile.Retention(
      messages: options.maxHistoryMessages, bytes: options.maxHistoryBytes,
      age: Int(options.maxHistoryAge.components.seconds), total: maxFileSize)
    do throws(DatabaseError) {
      writer = Writer(
        try HistoryFile(file, retention, keepsAll: durability == .full, hook), retention,
        maxUnwrittenBytes: maxUnwrittenBytes, logger)
    } catch {
      let reason = error.isBusy ? "another process has it open" : "\(error)"
      throw ConfabError(.historyUnusable, "the history \(file) cannot be used: \(reason)")
    }
  }

  public func open(_ room: String, _ sink: any RoomSink) -> any RoomOrder {
    let order = Order(room, sink, self)
    submit(.open(order), .now)
    return order
  }

  public func shutdown() async {
    await withCheckedContinuation { continuation in
      schedule(.never) { [self] in
        end()
        continuation.resume()
      }
    }
  }

  /// On the queue.
  func end() {
    work()
    jobs.withLock { $0.isEnded = true }
    writer.finish()
  }

  private func submit(_ job: Job, _ due: Due) { jobs.withLock { add(job, due, &$0) } }

  /// Has a message written. Returns its place, unless it waits for that.
  private func write(_ post: Post, _ order: Order, _ sender: Sender?) -> Place? {
    jobs.withLock { jobs in
      let waits = durability == .full || order.isWaiting || jobs.bytes > SQLiteEngine.maxBytes
      let place = waits ? order.wait() : order.next()
      jobs.bytes += post.bytes.count + SQLiteEngine.overhead
      add(.write(order, post, place, sender), durability == .full ? .now : .soon, &jobs)
      return place
    }
  }

  private func add(_ job: Job, _ due: Due, _ jobs: inout Jobs) {
    if jobs.isEnded { return }
    jobs.list.append(job)
    switch (jobs.due, due) {
    case (.never, .soon):
      jobs.due = due
      schedule(SQLiteEngine.interval) { self.work() }
    case (.never, .now), (.soon, .now):
      jobs.due = due
      schedule(.never) { self.work() }
    default: break
    }
  }

  /// Does what there is to do. On the queue.
  private func work() {
    let list = jobs.withLock { jobs in
      defer { jobs = Jobs(isEnded: jobs.isEnded) }
      return jobs.list
    }
    writer.work(list)
    if writer.takeRetry() { schedule(SQLiteEngine.retryInterval) { self.submit(.retry, .now) } }
  }

  /// The order of one room.
  final class Order: RoomOrder {
    let room: String
    private let engine: SQLiteEngine
    /// Nil when the room is closed.
    private let sink: Mutex<(any RoomSink)?>
    private let known = Mutex(Numbering(epoch: "", run: 0))
    private let last = Atomic(0)
    /// How many messages get their places when they are written; one more until the room is open. As long as there are
    /// any, no other message has a place.
    private let waiting = Atomic(1)

    init(_ room: String, _ sink: any RoomSink, _ engine: SQLiteEngine) {
      (self.room, self.engine) = (room, engine)
      self.sink = Mutex(sink)
    }

    fileprivate var isWaiting: Bool { waiting.load(ordering: .acquiring) > 0 }

    fileprivate func wait() -> Place? {
      waiting.add(1, ordering: .relaxed)
      return nil
    }

    /// The next place: at once if nothing waits, otherwise for the writer to give.
    func next() -> Place { Place(id: last.add(1, ordering: .relaxed).newValue, at: WallClock.milliseconds) }

    func place(_ post: () -> Post, from sender: Sender?) -> Place? { engine.write(post(), self, sender) }

    func close() { sink.withLock { $0 = nil } }

    // On the queue.

    var numbering: Numbering { known.withLock { $0 } }

    func opened(_ kept: Kept, run: Int) {
      known.withLock { $0 = Numbering(epoch: kept.epoch, run: run) }
      last.store(kept.last, ordering: .relaxed)
      waiting.subtract(1, ordering: .releasing)
      sink.withLock { $0 }?.opened(kept)
    }

    /// Goes on in another epoch.
    func renumber(_ numbering: Numbering) {
      known.withLock { $0 = numbering }
      sink.withLock { $0 }?.renumbered(numbering.epoch)
    }

    func placed(_ posts: [PlacedPost]) {
      sink.withLock { $0 }?.placed(posts)
      waiting.subtract(posts.count, ordering: .releasing)
    }
  }
}

public import Confab
public import ConfabChat
internal import Dispatch
public import Logging
internal import Synchronization

/// Stores the rooms of a chat in a SQLite database, which survives restarts of the server.
///
/// ```swift
/// let history = try SQLiteEngine(file: "chat.db", options: options)
/// let chat = Chat(options: options, engine: history)
/// ```
///
/// A separate thread writes the messages in batches. For each room it stores the newest messages, within the history
/// limits of the chat's options. If the file cannot be written, because the disk is full for example, an error is
/// logged, ``isKept`` is false, and the chat continues from memory. Unwritten messages are written as soon as possible:
/// the newest ones of each room, up to 64 MiB in all.
public final class SQLiteEngine: Engine {
  /// Time at which a message is on the disk.
  public enum Durability: String, Sendable, CaseIterable {
    /// Within 100 ms of its delivery. A killed process loses the messages that it has not written, and a failed machine
    /// those that the system has not written.
    case normal
    /// Before its delivery to any member, including the sender, whatever fails afterwards, as long as the file can be
    /// written.
    case full
  }

  public let isShared = true
  public let isAvailable = true
  public var isKept: Bool { !writer.isFailing.load(ordering: .relaxed) }

  private let durability: Durability
  /// Schedules work on the queue after a delay.
  private let schedule: Schedule
  private let jobs = Mutex(Jobs())
  private let writer: Writer

  /// Pending work of the queue.
  private struct Jobs {
    var list: [Job] = []
    /// Number of bytes of messages to write, including overhead.
    var bytes = 0
    var due = Due.never
    var isEnded = false
  }

  /// Time of the work: never, after the interval, or as soon as possible.
  private enum Due { case never, soon, now }

  /// Limit of unwritten bytes. Beyond it, messages are written before they are delivered, as with ``Durability/full``.
  private static let maxBytes = 16 << 20
  private static let overhead = 256
  private static let interval = DispatchTimeInterval.milliseconds(50)
  /// Delay before failed writes are retried.
  private static let retryInterval = DispatchTimeInterval.seconds(1)

  typealias Schedule = @Sendable (_ delay: DispatchTimeInterval, _ work: @escaping @Sendable () -> Void) -> Void

  /// Opens the file, and creates it if necessary. No other process may have it open.
  ///
  /// - Parameters:
  ///   - file: path of the file. While it is open, there is another file with the suffix `-wal`.
  ///   - durability: when messages are on the disk.
  ///   - maxFileSize: maximum size in bytes. The default is 1 GiB. Beyond it, the rooms with the oldest last message
  ///     are deleted.
  ///   - options: options of the chat.
  ///   - logger: logger for errors.
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
  ///   - hook: for tests; otherwise nil.
  ///   - schedule: runs work after a delay, or as soon as possible if that is `never`, one item after the other.
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
      throw ConfabError(.historyUnusable, "cannot use the history \(file): \(reason)")
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

  /// Writes everything and closes the file. On the queue.
  func end() {
    work()
    jobs.withLock { $0.isEnded = true }
    writer.finish()
  }

  private func submit(_ job: Job, _ due: Due) { jobs.withLock { add(job, due, &$0) } }

  /// Schedules the writing of a message. Returns its offset; nil if it is pending.
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

  /// Does all pending work. On the queue.
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
    /// Number of messages that get their offset when they are written; one more until the room is open. While it is not
    /// 0, messages get no offset earlier.
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

    /// Returns the next offset. If messages are pending, only the writer calls it.
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

    /// Continues in another epoch.
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

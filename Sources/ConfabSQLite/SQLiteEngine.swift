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
/// logged, ``isKept`` is false, and the chat goes on from memory; once it can be written again, the history on the disk
/// begins there.
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
  private let queue = DispatchQueue(label: "confab.history")
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

  /// Opens the file, or makes it. No other process may have it open.
  ///
  /// - Parameters:
  ///   - file: its path. Beside it, while it is open, is another one with `-wal` at its end.
  ///   - durability: when messages are on the disk.
  ///   - maxFileSize: bytes; the rooms in which nothing has been said for the longest time are forgotten when there is more.
  ///     The default is 1 GiB.
  ///   - options: those of the chat.
  ///   - logger: for what goes wrong.
  public init(
    file: String, durability: Durability = .normal, maxFileSize: Int = 1 << 30, options: ChatOptions = ChatOptions(),
    logger: Logger = Logger(label: "confab")
  ) throws(ConfabError) {
    self.durability = durability
    let retention = HistoryFile.Retention(
      messages: options.maxHistoryMessages, bytes: options.maxHistoryBytes,
      age: Int(options.maxHistoryAge.components.seconds), total: maxFileSize)
    do throws(DatabaseError) {
      writer = Writer(try HistoryFile(file, retention, keepsAll: durability == .full), logger)
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
      queue.async { [self] in
        work()
        jobs.withLock { $0.isEnded = true }
        writer.finish()
        continuation.resume()
      }
    }
  }

  private func submit(_ job: Job, _ due: Due) { jobs.withLock { add(job, due, &$0) } }

  /// Has a message written. Returns whether it waits for that.
  private func write(_ placed: PlacedPost, _ order: Order, _ sender: Sender?) -> Bool {
    jobs.withLock { jobs in
      let waits = durability == .full || order.isWaiting || jobs.bytes > SQLiteEngine.maxBytes
      jobs.bytes += placed.post.bytes.count + SQLiteEngine.overhead
      add(.write(order, placed, waits ? .some(sender) : .none), durability == .full ? .now : .soon, &jobs)
      return waits
    }
  }

  private func add(_ job: Job, _ due: Due, _ jobs: inout Jobs) {
    if jobs.isEnded { return }
    jobs.list.append(job)
    switch (jobs.due, due) {
    case (.never, .soon):
      jobs.due = due
      queue.asyncAfter(deadline: .now() + SQLiteEngine.interval) { self.work() }
    case (.never, .now), (.soon, .now):
      jobs.due = due
      queue.async { self.work() }
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
  }

  /// The order of one room.
  final class Order: RoomOrder {
    let room: String
    private let engine: SQLiteEngine
    /// Nil when the room is closed.
    private let sink: Mutex<(any RoomSink)?>
    private let epoch = Mutex("")
    private let last = Atomic(0)
    /// How many messages are delivered when they have been written. As long as there are any, no other is before.
    private let waiting = Atomic(0)

    init(_ room: String, _ sink: any RoomSink, _ engine: SQLiteEngine) {
      (self.room, self.engine) = (room, engine)
      self.sink = Mutex(sink)
    }

    var isWaiting: Bool { waiting.load(ordering: .acquiring) > 0 }
    var currentEpoch: String { epoch.withLock { $0 } }

    func place(_ post: () -> Post, from sender: Sender?) -> Place? {
      let place = Place(id: last.add(1, ordering: .relaxed).newValue, at: WallClock.milliseconds)
      guard engine.write(PlacedPost(post(), at: place), self, sender) else { return place }
      waiting.add(1, ordering: .relaxed)
      return nil
    }

    func close() { sink.withLock { $0 = nil } }

    // On the queue.

    func opened(_ kept: Kept) {
      epoch.withLock { $0 = kept.epoch }
      last.store(kept.last, ordering: .relaxed)
      sink.withLock { $0 }?.opened(kept)
    }

    func placed(_ posts: [PlacedPost]) {
      sink.withLock { $0 }?.placed(posts)
      waiting.subtract(posts.count, ordering: .releasing)
    }
  }
}

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
/// logged, ``isStored`` is false, and the chat continues from memory. Unwritten messages are written as soon as
/// possible: the newest ones of each room, up to 64 MiB in all.
public final class SQLiteEngine: Engine {
  /// Time at which a message is on the disk.
  public enum Durability: String, Sendable, CaseIterable {
    /// Within 100 ms after its delivery. If the process is killed, messages that it has not written are lost. If the
    /// machine fails, messages that the system has not written are lost.
    case normal
    /// Before its delivery to any member, including the sender. Later failures do not lose the message. While the file
    /// cannot be written, messages are delivered without being on the disk.
    case full
  }

  public let isShared = true
  public let isAvailable = true
  public var isStored: Bool { !worker.isFailing.load(ordering: .relaxed) }

  private let durability: Durability
  /// Schedules work on the queue after a delay.
  private let schedule: Schedule
  private let pending = Mutex(PendingTasks())
  private let worker: HistoryWorker
  /// The restrictions that the file had when it was opened.
  private let restrictions: [Restriction]

  /// Pending work of the queue.
  private struct PendingTasks {
    var list: [HistoryTask] = []
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
  ///   - file: path of the file. Beside it is a file with the suffix `-delivered` and, while the database is open, a
  ///     file with the suffix `-wal`.
  ///   - durability: time at which a message is on the disk.
  ///   - maxFileSize: maximum size in bytes, 1 MiB to 1 TiB. The default is 1 GiB. Beyond it, the rooms that have been
  ///     inactive longest are deleted.
  ///   - options: options of the chat.
  ///   - logger: logger for errors.
  public convenience init(
    file: String, durability: Durability = .normal, maxFileSize: Int = defaultFileSize,
    options: ChatOptions = ChatOptions(),
    logger: Logger = Logger(label: "confab")
  ) throws(ConfabError) {
    if let range = SQLiteEngine.problem(ofFileSize: maxFileSize) {
      throw ConfabError(.invalidConfiguration, "maxFileSize \(range)")
    }
    let queue = DispatchQueue(label: "confab.history")
    try self.init(file, durability, maxFileSize, options, logger, hook: nil) { delay, work in
      delay == .never ? queue.async(execute: work) : queue.asyncAfter(deadline: .now() + delay, execute: work)
    }
  }

  /// Default of the maximum file size, in bytes.
  public static let defaultFileSize = 1 << 30

  /// Returns the problem of a maximum file size in bytes; nil if it is valid.
  package static func problem(ofFileSize size: Int) -> String? {
    let sizes = 1 << 20...1 << 40
    return sizes.contains(size) ? nil : "must be \(sizes.lowerBound) to \(sizes.upperBound), not \(size)"
  }

  /// - Parameters:
  ///   - hook: for tests; otherwise nil.
  ///   - schedule: runs work items one after the other, each after its delay. The delay `never` means as soon as
  ///     possible.
  init(
    _ file: String, _ durability: Durability, _ maxFileSize: Int, _ options: ChatOptions, _ logger: Logger,
    maxUnwrittenBytes: Int = 64 << 20, hook: StepHook?, schedule: @escaping Schedule
  ) throws(ConfabError) {
    (self.durability, self.schedule) = (durability, schedule)
    let retention = HistoryDatabase.Retention(
      messages: options.maxHistoryMessages, bytes: options.maxHistoryBytes,
      age: Int(options.maxHistoryAge.components.seconds), total: maxFileSize)
    do throws(DatabaseError) {
      let file = try HistoryDatabase(file, retention, keepsAll: durability == .full, hook)
      restrictions = try file.readRestrictions()
      worker = HistoryWorker(file, retention, maxUnwrittenBytes: maxUnwrittenBytes, logger)
    } catch {
      let reason = error.isBusy ? "another process has it open" : "\(error)"
      throw ConfabError(.historyUnusable, "cannot use the history \(file): \(reason)")
    }
  }

  public func open(_ room: String, _ delegate: any RoomDelegate) -> any EngineRoom {
    let room = SQLiteRoom(room, delegate, self)
    submit(.open(room), .now)
    return room
  }

  public func openRestrictions(_ delegate: any RestrictionDelegate) { delegate.restored(restrictions) }

  public func store(_ change: RestrictionChange, _ done: @escaping @Sendable (_ isStored: Bool) -> Void) {
    submit(.restrict(change, done), .now)
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
    pending.withLock { $0.isEnded = true }
    worker.finish()
  }

  private func submit(_ task: HistoryTask, _ due: Due) { pending.withLock { add(task, due, &$0) } }

  /// Schedules the writing of a message. Returns its position; nil if it is pending.
  func write(_ draft: Draft, _ room: SQLiteRoom, _ quota: PublisherQuota?) -> Position? {
    pending.withLock { pending in
      let waits = durability == .full || room.hasPending || pending.bytes > SQLiteEngine.maxBytes
      let position = waits ? room.addPending() : room.nextPosition()
      pending.bytes += draft.bytes.count + SQLiteEngine.overhead
      add(.write(room, draft, position, quota), durability == .full ? .now : .soon, &pending)
      return position
    }
  }

  private func add(_ task: HistoryTask, _ due: Due, _ pending: inout PendingTasks) {
    if pending.isEnded { return }
    pending.list.append(task)
    switch (pending.due, due) {
    case (.never, .soon):
      pending.due = due
      schedule(SQLiteEngine.interval) { self.work() }
    case (.never, .now), (.soon, .now):
      pending.due = due
      schedule(.never) { self.work() }
    default: break
    }
  }

  /// Does all pending work. On the queue.
  private func work() {
    let list = pending.withLock { pending in
      defer { pending = PendingTasks(isEnded: pending.isEnded) }
      return pending.list
    }
    worker.work(list)
    if worker.takeRetry() { schedule(SQLiteEngine.retryInterval) { self.submit(.retry, .now) } }
  }
}

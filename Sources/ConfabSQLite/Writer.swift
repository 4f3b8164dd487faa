internal import Confab
internal import ConfabChat
internal import Logging
internal import Synchronization

/// Work for the thread of the file.
enum Job {
  /// Opens a room with its stored messages.
  case open(SQLiteEngine.Order)
  /// Writes a message. Without an offset it then gets one and is delivered, and its sender is notified.
  case write(SQLiteEngine.Order, Post, Place?, Sender?)
  /// Retries failed writes.
  case retry
}

/// Reads and writes the file for the rooms. On the queue only.
final class Writer: @unchecked Sendable {
  // @unchecked, because the engine calls it on its queue only.

  private let file: HistoryFile
  private let retention: HistoryFile.Retention
  private let logger: Logger
  /// Whether writes are failing. Any thread.
  let isFailing = Atomic(false)
  /// Unwritten messages by room. Later messages of the room are written after them.
  private var unwritten: [String: Page] = [:]
  private var unwrittenBytes = 0
  /// Whether unwritten messages were dropped, and no write has succeeded since.
  private var hasGivenUp = false
  private var isRetryDue = false
  private var complainedAt: ContinuousClock.Instant?

  /// Maximum size of unwritten messages. Beyond it they are dropped, and all epochs end when their rooms are read
  /// again.
  private let maxUnwrittenBytes: Int
  /// Maximum number of messages in a transaction, which bounds the delay of pending messages.
  private static let maxBatch = 5000

  init(_ file: HistoryFile, _ retention: HistoryFile.Retention, maxUnwrittenBytes: Int, _ logger: Logger) {
    (self.file, self.retention, self.maxUnwrittenBytes, self.logger) = (file, retention, maxUnwrittenBytes, logger)
  }

  func work(_ jobs: [Job]) {
    var batch = Batch()
    for job in jobs {
      switch job {
      case .open(let order):
        write(&batch)
        open(order)
      case .write(let order, let post, let place, let sender):
        batch.add(post, place, order, sender)
        if batch.count == Writer.maxBatch { write(&batch) }
      case .retry:
        write(&batch)
        isRetryDue = false
        retry()
      }
    }
    write(&batch)
  }

  /// Whether to schedule a retry. True once for each retry.
  func takeRetry() -> Bool {
    if isRetryDue || unwritten.isEmpty && !hasGivenUp { return false }
    isRetryDue = true
    return true
  }

  // MARK: Reading

  private func open(_ order: SQLiteEngine.Order) {
    let page = unwritten[order.room]
    do throws(DatabaseError) {
      order.opened(try kept(of: order.room) ?? .nothing, run: page?.numbering.run ?? file.run)
    } catch {
      complain("cannot read the history of a room, which starts empty", error)
      order.opened(page?.kept ?? .unknown, run: page?.numbering.run ?? file.run)
    }
  }

  /// Returns the stored and the unwritten messages of a room; nil if it has none.
  private func kept(of room: String) throws(DatabaseError) -> Kept? {
    guard let page = unwritten[room] else { return try written(of: room) }
    guard !page.replaces, let kept = try written(of: room), kept.epoch == page.numbering.epoch else { return page.kept }
    return Kept(epoch: kept.epoch, last: page.kept.last, posts: kept.posts + page.posts)
  }

  private func written(of room: String) throws(DatabaseError) -> Kept? {
    guard let (kept, unusable) = try file.read(room) else { return nil }
    if unusable > 0 {
      let reason = DatabaseError("\(unusable) messages have invalid offsets or times and are left out")
      complain("the history of \(room.withoutControls) is damaged", reason)
    }
    return kept
  }

  // MARK: Writing

  private func write(_ batch: inout Batch) {
    guard batch.count > 0 else { return }
    // Messages of a room are written in their order.
    var failed = batch.pages.filter { unwritten[$0.room] != nil }
    failed += write(batch.pages.filter { unwritten[$0.room] == nil })
    allow(&failed, batch.orders)
    for page in failed { keep(page) }
    settle()
    batch.deliver()
    batch = Batch()
  }

  /// Returns the pages that could not be written.
  private func write(_ pages: [Page]) -> [Page] {
    guard !pages.isEmpty || hasGivenUp else { return [] }
    do throws(DatabaseError) {
      let failures = try file.write(pages)
      hasGivenUp = false
      return failures.map { failure in
        complain("cannot write the history of a room, which continues from memory", failure.error)
        return failure.page
      }
    } catch {
      complain("cannot write the history, the chat continues from memory", error)
      return pages
    }
  }

  /// Records on the disk that unwritten messages will be delivered. If that fails too, their rooms continue in new
  /// epochs, which are not on the disk.
  private func allow(_ pages: inout [Page], _ orders: [String: SQLiteEngine.Order]) {
    guard !pages.isEmpty else { return }
    do throws(DatabaseError) {
      try file.allow(isWhole: false)
    } catch {
      complain("cannot write the history or its delivery mark, the chat continues from memory in new epochs", error)
      for index in pages.indices where unwritten[pages[index].room] == nil {
        guard let order = orders[pages[index].room] else { continue }
        order.renumber(Numbering(epoch: Kept.nothing.epoch, run: file.run))
        pages[index].numbering = order.numbering
      }
    }
  }

  private func keep(_ page: Page) {
    unwrittenBytes -= unwritten[page.room]?.bytes ?? 0
    unwritten[page.room, default: Page(room: page.room, page.numbering)].append(page)
    unwritten[page.room]?.trim(messages: retention.messages, bytes: retention.bytes)
    unwrittenBytes += unwritten[page.room]?.bytes ?? 0
    guard unwrittenBytes > maxUnwrittenBytes else { return }
    logger.error("dropped \(unwrittenBytes) bytes of messages that could not be written to the history")
    (unwritten, unwrittenBytes, hasGivenUp) = ([:], 0, true)
    file.beginRun()
  }

  private func retry() {
    if unwritten.isEmpty { _ = write([]) }
    var rooms = unwritten.keys.sorted(by: >)
    while !rooms.isEmpty {
      var (pages, count) = ([Page](), 0)
      while count < Writer.maxBatch, let page = rooms.popLast().flatMap({ unwritten[$0] }) {
        pages.append(page)
        count += page.posts.count
      }
      let failed = write(pages)
      for page in pages { unwrittenBytes -= unwritten.removeValue(forKey: page.room)?.bytes ?? 0 }
      for page in failed { keep(page) }
      // Further writes would probably fail too. A single failing room may be the only one.
      if failed.count == pages.count && pages.count > 1 { break }
    }
    settle()
  }

  /// Updates whether writes are failing.
  private func settle() {
    if !unwritten.isEmpty || hasGivenUp { return isFailing.store(true, ordering: .relaxed) }
    // A mark that still covers too much costs a gap at the next start.
    do throws(DatabaseError) { try file.allow(isWhole: true) } catch {
      complain("cannot write the delivery mark", error)
    }
    guard isFailing.exchange(false, ordering: .relaxed) else { return }
    logger.notice("the history is being written again")
    complainedAt = nil
  }

  private func complain(_ what: String, _ error: DatabaseError) {
    if let complainedAt, complainedAt + .seconds(10) > .now { return }
    complainedAt = .now
    logger.error("\(what): \(error)")
  }

  func finish() {
    if !unwritten.isEmpty || hasGivenUp { retry() }
    guard unwritten.isEmpty && !hasGivenUp else { return }
    do throws(DatabaseError) { try file.finish() } catch { complain("cannot close the history", error) }
  }
}

/// Messages that are written together.
private struct Batch {
  private(set) var pages: [Page] = []
  private var indices: [String: Int] = [:]
  private(set) var orders: [String: SQLiteEngine.Order] = [:]
  private var waiting: [(order: SQLiteEngine.Order, placed: PlacedPost, sender: Sender?)] = []
  private(set) var count = 0

  mutating func add(_ post: Post, _ place: Place?, _ order: SQLiteEngine.Order, _ sender: Sender?) {
    let placed = PlacedPost(post, at: place ?? order.next())
    if let index = indices[order.room] {
      pages[index].append(placed)
    } else {
      indices[order.room] = pages.count
      orders[order.room] = order
      pages.append(Page(room: order.room, order.numbering))
      pages[pages.endIndex - 1].append(placed)
    }
    if place == nil { waiting.append((order, placed, sender)) }
    count += 1
  }

  /// Delivers the pending messages to the rooms, and notifies their senders.
  func deliver() {
    for (_, messages) in Dictionary(grouping: waiting, by: { ObjectIdentifier($0.order) }) {
      messages.first?.order.placed(messages.map(\.placed))
    }
    for (_, placed, sender) in waiting { sender?.settled(placed.post.bytes.count) }
  }
}

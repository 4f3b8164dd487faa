internal import Confab
internal import ConfabChat
internal import Logging
internal import Synchronization

/// What the thread of the file is to do.
enum Job {
  /// Tells a room what is kept of it.
  case open(SQLiteEngine.Order)
  /// Writes a message. Without a place it gets one then, is delivered, and its sender is told.
  case write(SQLiteEngine.Order, Post, Place?, Sender?)
  /// Writes what could not be written before.
  case retry
}

/// Reads and writes the file for the rooms. On the queue only.
final class Writer: @unchecked Sendable {
  // @unchecked: the engine calls it on its queue only.

  private let file: HistoryFile
  private let retention: HistoryFile.Retention
  private let logger: Logger
  /// Whether something could not be written. Any thread.
  let isFailing = Atomic(false)
  /// What could not be written, by room. What follows it in the room waits behind it.
  private var unwritten: [String: Page] = [:]
  private var unwrittenBytes = 0
  /// Whether what could not be written has been given up, and nothing has been written since.
  private var hasGivenUp = false
  private var isRetryDue = false
  private var complainedAt: ContinuousClock.Instant?

  /// When more could not be written it is given up: all numberings end, when their rooms are read again.
  private let maxUnwrittenBytes: Int
  /// A transaction is no larger, so that those who wait for it don't do so for long.
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

  /// Whether a retry is to be scheduled, which is so once.
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
      complain("the history of a room cannot be read, it begins anew", error)
      order.opened(page?.kept ?? .unknown, run: page?.numbering.run ?? file.run)
    }
  }

  /// What the file has of a room, and what could not be written; nil if there is nothing.
  private func kept(of room: String) throws(DatabaseError) -> Kept? {
    guard let page = unwritten[room] else { return try written(of: room) }
    guard !page.replaces, let kept = try written(of: room), kept.epoch == page.numbering.epoch else { return page.kept }
    return Kept(epoch: kept.epoch, last: page.kept.last, posts: kept.posts + page.posts)
  }

  private func written(of room: String) throws(DatabaseError) -> Kept? {
    guard let (kept, unusable) = try file.read(room) else { return nil }
    if unusable > 0 {
      let reason = DatabaseError("\(unusable) messages have impossible numbers or times, and are left out")
      complain("the history of \(room.withoutControls) is damaged", reason)
    }
    return kept
  }

  // MARK: Writing

  private func write(_ batch: inout Batch) {
    guard batch.count > 0 else { return }
    // A room's messages are written in their order.
    var failed = batch.pages.filter { unwritten[$0.room] != nil }
    failed += write(batch.pages.filter { unwritten[$0.room] == nil })
    allow(&failed, batch.orders)
    for page in failed { keep(page) }
    settle()
    batch.deliver()
    batch = Batch()
  }

  /// Returns what could not be written.
  private func write(_ pages: [Page]) -> [Page] {
    guard !pages.isEmpty || hasGivenUp else { return [] }
    do throws(DatabaseError) {
      let failures = try file.write(pages)
      hasGivenUp = false
      return failures.map { failure in
        complain("the history of a room cannot be written: it goes on from memory", failure.error)
        return failure.page
      }
    } catch {
      complain("the history cannot be written: the chat goes on from memory", error)
      return pages
    }
  }

  /// Says on the disk that messages are going to be delivered that are not there. If that is not possible either, their
  /// rooms go on in epochs that the disk has never had.
  private func allow(_ pages: inout [Page], _ orders: [String: SQLiteEngine.Order]) {
    guard !pages.isEmpty else { return }
    do throws(DatabaseError) {
      try file.allow(isWhole: false)
    } catch {
      complain("the history cannot be written: the chat goes on from memory, as another one", error)
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
    logger.error("the history: \(unwrittenBytes) bytes of messages that could not be written are given up")
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
      // The next ones would probably fare no better. A single room may be the only one that can't be written.
      if failed.count == pages.count && pages.count > 1 { break }
    }
    settle()
  }

  /// Says whether all has been written.
  private func settle() {
    if !unwritten.isEmpty || hasGivenUp { return isFailing.store(true, ordering: .relaxed) }
    // If it goes on saying too much, that costs a gap at the next start.
    do throws(DatabaseError) { try file.allow(isWhole: true) } catch {
      complain("the delivery mark cannot be written", error)
    }
    guard isFailing.exchange(false, ordering: .relaxed) else { return }
    logger.notice("the history is written again")
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
    do throws(DatabaseError) { try file.finish() } catch { complain("the history cannot be closed", error) }
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

  /// Tells the rooms of the messages that have waited, and the senders.
  func deliver() {
    for (_, messages) in Dictionary(grouping: waiting, by: { ObjectIdentifier($0.order) }) {
      messages.first?.order.placed(messages.map(\.placed))
    }
    for (_, placed, sender) in waiting { sender?.settled(placed.post.bytes.count) }
  }
}

internal import ConfabChat
internal import Logging
internal import Synchronization

/// What the thread of the file is to do.
enum Job {
  /// Tells a room what is kept of it.
  case open(SQLiteEngine.Order)
  /// Writes a message. If it waits for that, it is delivered then, and its sender is told.
  case write(SQLiteEngine.Order, PlacedPost, Sender??)
}

/// Reads and writes the file for the rooms. On the queue only.
final class Writer: @unchecked Sendable {
  // @unchecked: the engine calls it on its queue only.

  private let file: HistoryFile
  private let logger: Logger
  /// Whether what was to be written last could not be. Any thread.
  let isFailing = Atomic(false)
  /// The rooms of which something could not be written …
  private var cutRooms: Set<String> = []
  /// … if they are not too many to be told apart.
  private var isAllCut = false
  private var complainedAt: ContinuousClock.Instant?

  private static let maxCutRooms = 100_000
  /// A transaction is no larger, so that those who wait for it don't do so for long.
  private static let maxBatch = 5000

  init(_ file: HistoryFile, _ logger: Logger) { (self.file, self.logger) = (file, logger) }

  func work(_ jobs: [Job]) {
    var batch = Batch()
    for job in jobs {
      switch job {
      case .open(let order):
        write(&batch)
        order.opened(read(order.room))
      case .write(let order, let placed, let waiting):
        batch.add(placed, order, waiting, isCut: cutRooms.contains(order.room))
        if batch.count == Writer.maxBatch { write(&batch) }
      }
    }
    write(&batch)
  }

  private func read(_ room: String) -> Kept {
    do throws(DatabaseError) {
      if let kept = try file.read(room) { return kept }
    } catch {
      complain("the history of a room cannot be read, it begins anew", error)
    }
    return .nothing
  }

  private func write(_ batch: inout Batch) {
    guard batch.count > 0 else { return }
    do throws(DatabaseError) {
      try file.write(Array(batch.pages.values), isAllCut: isAllCut)
      if complainedAt != nil { logger.notice("the history is written again") }
      complainedAt = nil
      isFailing.store(false, ordering: .relaxed)
      cutRooms.subtract(batch.pages.keys)
      isAllCut = false
    } catch {
      complain("the history cannot be written: the chat goes on from memory", error)
      isFailing.store(true, ordering: .relaxed)
      cutRooms.formUnion(batch.pages.keys)
      if cutRooms.count > Writer.maxCutRooms { (cutRooms, isAllCut) = ([], true) }
    }
    batch.deliver()
    batch = Batch()
  }

  private func complain(_ what: String, _ error: DatabaseError) {
    if let complainedAt, complainedAt + .seconds(10) > .now { return }
    complainedAt = .now
    logger.error("\(what): \(error)")
  }

  func finish() {
    do throws(DatabaseError) {
      // What could not be written has been heard of.
      if cutRooms.isEmpty && !isAllCut { try file.finish() }
    } catch {
      complain("the history cannot be closed", error)
    }
  }
}

/// Messages that are written together.
private struct Batch {
  private(set) var pages: [String: HistoryFile.Page] = [:]
  private var waiting: [(order: SQLiteEngine.Order, placed: PlacedPost, sender: Sender?)] = []
  private(set) var count = 0

  mutating func add(_ placed: PlacedPost, _ order: SQLiteEngine.Order, _ waiting: Sender??, isCut: Bool) {
    pages[order.room, default: .init(room: order.room, epoch: order.currentEpoch, isCut: isCut)].posts.append(placed)
    if let sender = waiting { self.waiting.append((order, placed, sender)) }
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

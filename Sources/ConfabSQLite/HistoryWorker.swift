internal import Confab
internal import ConfabChat
internal import Logging
internal import Synchronization

/// Task of the history's thread.
enum HistoryTask {
  /// Opens a room with its stored messages.
  case open(SQLiteRoom)
  /// Writes a message. A message without a position then gets a position and is delivered, and its quota is released.
  case write(SQLiteRoom, Draft, Position?, PublisherQuota?)
  /// Writes a change of the restrictions. Indirect, because each task in a queue takes the space of the largest case.
  indirect case restrict(RestrictionChange, @Sendable (_ isStored: Bool) -> Void)
  /// Retries failed writes.
  case retry
}

/// Performs the tasks of the history's thread: reads rooms, writes messages in batches, and retries failed writes. The
/// SQL statements are in ``HistoryDatabase``. On the queue only.
final class HistoryWorker: @unchecked Sendable {
  // @unchecked, because the engine calls it on its queue only.

  /// Nil when the file is closed.
  private var file: HistoryDatabase!
  private let retention: HistoryDatabase.Retention
  private let logger: Logger
  /// Whether writes are failing. Any thread.
  let isFailing = Atomic(false)
  /// Unwritten messages by room. Later messages of the room are written after them.
  private var unwritten: [ByteKey: RoomBatch] = [:]
  private var unwrittenBytes = 0
  /// Whether unwritten messages were dropped, and no write has succeeded since.
  private var hasDropped = false
  private var isRetryDue = false
  /// Unwritten changes of restrictions, by their ids.
  private var unwrittenRestrictions: [String: RestrictionChange] = [:]
  private var errorLoggedAt: ContinuousClock.Instant?

  /// Maximum size of unwritten messages. Above it, they are dropped, and each room begins another epoch when it is read
  /// again.
  private let maxUnwrittenBytes: Int
  /// Maximum number of messages in a transaction, which bounds the delay of pending messages.
  private static let maxBatch = 5000
  /// Maximum number of unwritten changes of restrictions. Beyond it they are dropped.
  private static let maxUnwrittenRestrictions = 100_000

  init(_ file: HistoryDatabase, _ retention: HistoryDatabase.Retention, maxUnwrittenBytes: Int, _ logger: Logger) {
    (self.file, self.retention, self.maxUnwrittenBytes, self.logger) = (file, retention, maxUnwrittenBytes, logger)
  }

  func work(_ tasks: [HistoryTask]) {
    if file == nil { return }
    var batch = WriteBatch()
    var restrictionsDone: [@Sendable (Bool) -> Void] = []
    for task in tasks {
      switch task {
      case .open(let room):
        write(&batch)
        open(room)
      case .write(let room, let draft, let position, let quota):
        batch.add(draft, position, room, quota)
        if batch.count == HistoryWorker.maxBatch { write(&batch) }
      case .restrict(let change, let done):
        unwrittenRestrictions[change.id] = change
        restrictionsDone.append(done)
      case .retry:
        write(&batch)
        isRetryDue = false
        retry()
      }
    }
    write(&batch)
    if restrictionsDone.isEmpty { return }
    writeRestrictions()
    updateFailing()
    for done in restrictionsDone { done(true) }
  }

  /// Returns whether to schedule a retry: true once for each retry.
  func takeRetry() -> Bool {
    if isRetryDue || isWritten { return false }
    isRetryDue = true
    return true
  }

  /// Whether everything is written.
  private var isWritten: Bool { unwritten.isEmpty && !hasDropped && unwrittenRestrictions.isEmpty }

  /// Writes the changes of restrictions. Changes that cannot be written are in effect, and are written later.
  private func writeRestrictions() {
    guard !unwrittenRestrictions.isEmpty else { return }
    do throws(DatabaseError) {
      try file.write(unwrittenRestrictions.values)
      unwrittenRestrictions = [:]
    } catch {
      logError("cannot write mutes and bans, which are in effect until the server stops", error)
      guard unwrittenRestrictions.count > HistoryWorker.maxUnwrittenRestrictions else { return }
      logger.error("dropped \(unwrittenRestrictions.count) changes of mutes and bans that could not be written")
      unwrittenRestrictions = [:]
    }
  }

  // MARK: Reading

  private func open(_ room: SQLiteRoom) {
    let batch = unwritten[ByteKey(room.name)]
    do throws(DatabaseError) {
      room.opened(try snapshot(of: room.name) ?? .empty, run: batch?.epoch.run ?? file.run)
    } catch {
      logError("cannot read the history of a room, which starts empty", error)
      room.opened(batch?.snapshot ?? .unreadable, run: batch?.epoch.run ?? file.run)
    }
  }

  /// Returns the stored and the unwritten messages of a room; nil if it has none.
  private func snapshot(of room: String) throws(DatabaseError) -> RoomSnapshot? {
    guard let batch = unwritten[ByteKey(room)] else { return try writtenSnapshot(of: room) }
    guard !batch.replaces, let written = try writtenSnapshot(of: room), written.epoch == batch.epoch.name else {
      return batch.snapshot
    }
    return RoomSnapshot(
      epoch: written.epoch, lastOffset: batch.snapshot.lastOffset,
      publications: written.publications + batch.publications)
  }

  private func writtenSnapshot(of room: String) throws(DatabaseError) -> RoomSnapshot? {
    guard let (snapshot, unusable) = try file.read(room) else { return nil }
    if unusable > 0 {
      let reason = DatabaseError("\(unusable) messages have invalid offsets or times and are left out")
      logError("the history of \(room.withoutControls) is damaged", reason)
    }
    return snapshot
  }

  // MARK: Writing

  private func write(_ batch: inout WriteBatch) {
    guard batch.count > 0 else { return }
    // Messages of a room are written in their order.
    var failed = batch.rooms.filter { unwritten[$0.key] != nil }
    failed += write(batch.rooms.filter { unwritten[$0.key] == nil })
    allow(&failed, batch.engineRooms)
    for batch in failed { retain(batch) }
    updateFailing()
    batch.deliver()
    batch = WriteBatch()
  }

  /// Returns the batches that could not be written.
  private func write(_ batches: [RoomBatch]) -> [RoomBatch] {
    guard !batches.isEmpty || hasDropped else { return [] }
    do throws(DatabaseError) {
      let failures = try file.write(batches)
      hasDropped = false
      return failures.map { failure in
        logError("cannot write the history of a room, which continues from memory", failure.error)
        return failure.batch
      }
    } catch {
      logError("cannot write the history, the chat continues from memory", error)
      return batches
    }
  }

  /// Records on the disk that unwritten messages will be delivered. If that fails too, their rooms continue in new
  /// epochs, which are not on the disk.
  private func allow(_ batches: inout [RoomBatch], _ engineRooms: [ByteKey: SQLiteRoom]) {
    guard !batches.isEmpty else { return }
    do throws(DatabaseError) {
      try file.allow(isWhole: false)
    } catch {
      logError("cannot write the history or its delivery mark, the chat continues from memory in new epochs", error)
      for index in batches.indices where unwritten[batches[index].key] == nil {
        guard let room = engineRooms[batches[index].key] else { continue }
        room.begin(RoomEpoch(name: RoomSnapshot.empty.epoch, run: file.run))
        batches[index].epoch = room.epoch
      }
    }
  }

  private func retain(_ batch: RoomBatch) {
    unwrittenBytes -= unwritten[batch.key]?.bytes ?? 0
    unwritten[batch.key, default: RoomBatch(room: batch.room, batch.epoch)].append(batch)
    unwritten[batch.key]?.trim(messages: retention.messages, bytes: retention.bytes)
    unwrittenBytes += unwritten[batch.key]?.bytes ?? 0
    guard unwrittenBytes > maxUnwrittenBytes else { return }
    logger.error("dropped \(unwrittenBytes) bytes of messages that could not be written to the history")
    (unwritten, unwrittenBytes, hasDropped) = ([:], 0, true)
    file.beginRun()
  }

  private func retry() {
    writeRestrictions()
    if unwritten.isEmpty { _ = write([]) }
    var rooms = unwritten.keys.sorted { $0.text > $1.text }
    while !rooms.isEmpty {
      var (batches, count) = ([RoomBatch](), 0)
      while count < HistoryWorker.maxBatch, let batch = rooms.popLast().flatMap({ unwritten[$0] }) {
        batches.append(batch)
        count += batch.publications.count
      }
      let failed = write(batches)
      for batch in batches { unwrittenBytes -= unwritten.removeValue(forKey: batch.key)?.bytes ?? 0 }
      for batch in failed { retain(batch) }
      // If several batches have failed, further writes would probably fail too. If one has failed, the others may
      // succeed.
      if failed.count == batches.count && batches.count > 1 { break }
    }
    updateFailing()
  }

  /// Updates whether writes are failing.
  private func updateFailing() {
    if !isWritten { return isFailing.store(true, ordering: .relaxed) }
    // If this write fails, the only effect is that rooms begin new epochs at the next start.
    do throws(DatabaseError) { try file.allow(isWhole: true) } catch {
      logError("cannot write the delivery mark", error)
    }
    guard isFailing.exchange(false, ordering: .relaxed) else { return }
    logger.notice("the history is being written again")
    errorLoggedAt = nil
  }

  private func logError(_ what: String, _ error: DatabaseError) {
    if let errorLoggedAt, errorLoggedAt + .seconds(10) > .now { return }
    errorLoggedAt = .now
    logger.error("\(what): \(error)")
  }

  /// Writes everything and closes the file, so that another process can open it.
  func finish() {
    if file == nil { return }
    defer { file = nil }
    if !isWritten { retry() }
    guard unwritten.isEmpty && !hasDropped else { return }
    do throws(DatabaseError) { try file.finish() } catch { logError("cannot close the history", error) }
  }
}

/// Messages that are written together.
private struct WriteBatch {
  private(set) var rooms: [RoomBatch] = []
  private var indices: [ByteKey: Int] = [:]
  private(set) var engineRooms: [ByteKey: SQLiteRoom] = [:]
  private var pending: [(room: SQLiteRoom, publication: Publication, quota: PublisherQuota?)] = []
  private(set) var count = 0

  mutating func add(_ draft: Draft, _ position: Position?, _ room: SQLiteRoom, _ quota: PublisherQuota?) {
    let publication = Publication(draft, at: position ?? room.nextPosition())
    let key = ByteKey(room.name)
    if let index = indices[key] {
      rooms[index].append(publication)
    } else {
      indices[key] = rooms.count
      engineRooms[key] = room
      rooms.append(RoomBatch(room: room.name, room.epoch))
      rooms[rooms.endIndex - 1].append(publication)
    }
    if position == nil { pending.append((room, publication, quota)) }
    count += 1
  }

  /// Delivers the pending messages to the rooms, and releases their quotas.
  func deliver() {
    for (_, messages) in Dictionary(grouping: pending, by: { ObjectIdentifier($0.room) }) {
      messages.first?.room.published(messages.map(\.publication))
    }
    for (_, publication, quota) in pending { quota?.release(publication.draft.bytes.count) }
  }
}

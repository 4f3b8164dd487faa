internal import Confab
internal import ConfabChat

/// Epoch of a room's offsets, and its run.
struct RoomEpoch {
  let name: String
  /// Run of the file in which the epoch continues.
  let run: Int
}

/// Messages to write for one room.
struct RoomBatch {
  let room: String
  var key: ByteKey { ByteKey(room) }
  var epoch: RoomEpoch
  private(set) var publications: [Publication] = []
  private(set) var bytes = 0
  /// Whether the batch replaces all written messages, because its own first messages were dropped.
  private(set) var replaces = false

  static let overhead = 256

  init(room: String, _ epoch: RoomEpoch) { (self.room, self.epoch) = (room, epoch) }

  /// Snapshot made from the batch alone.
  var snapshot: RoomSnapshot {
    RoomSnapshot(
      epoch: epoch.name, lastOffset: publications.last?.position.offset ?? 0, publications: publications)
  }

  mutating func append(_ batch: RoomBatch) {
    publications += batch.publications
    bytes += batch.bytes
    if batch.replaces { replaces = true }
  }

  mutating func append(_ publication: Publication) {
    publications.append(publication)
    bytes += publication.draft.bytes.count + RoomBatch.overhead
  }

  /// Drops the oldest messages, if there are more than twice as many as the room's limits allow.
  mutating func trim(messages: Int, bytes limit: Int) {
    guard publications.count > 2 * max(1, messages) || bytes > 2 * limit && publications.count > 1 else { return }
    var first = publications.endIndex - 1
    var kept = publications[first].draft.bytes.count + RoomBatch.overhead
    while first > 0, publications.count - first < messages {
      let size = publications[first - 1].draft.bytes.count + RoomBatch.overhead
      guard kept + size <= limit else { break }
      (first, kept) = (first - 1, kept + size)
    }
    publications.removeFirst(first)
    (bytes, replaces) = (kept, true)
  }
}

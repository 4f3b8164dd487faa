internal import Confab
internal import ConfabChat

// Entries whose content a later change has removed or replaced are deleted from the stream. Each server that reads the
// change asks the broker for that, until the broker has confirmed it. So a server may end at any time.

/// Offsets of entries to delete from the stream.
struct Erasures {
  typealias Instant = ContinuousClock.Instant

  /// Time after which a request is repeated.
  private static let timeout = Duration.seconds(2)
  /// Maximum number of entries. The server that opens the room next deletes further ones.
  private static let limit = 10_000

  /// Time of the last request for each entry; nil before the first one.
  private var requestedAt: [Int: Instant?] = [:]

  var isEmpty: Bool { requestedAt.isEmpty }

  mutating func add(_ offsets: [Int]) {
    for offset in offsets where requestedAt.count < Erasures.limit && requestedAt[offset] == nil {
      requestedAt[offset] = .some(nil)
    }
  }

  /// Returns the entries to request now.
  mutating func take(now: Instant) -> [Int] {
    if isEmpty { return [] }
    let due = requestedAt.filter { $0.value.map { now - $0 > Erasures.timeout } ?? true }.keys.sorted()
    for offset in due { requestedAt[offset] = now }
    return due
  }

  mutating func remove(_ offset: Int) { requestedAt[offset] = nil }

  /// Forgets all entries, because another stream replaces the lost one.
  mutating func removeAll() { requestedAt = [:] }
}

extension JetStreamState {
  /// Deletes entries of a room that later entries erase, as far as they are still there.
  mutating func erase(_ publications: [Publication]) {
    let changes = publications.filter { !$0.draft.erased.isEmpty }
    if changes.isEmpty { return }
    let offsets = Set(publications.map(\.position.offset))
    for change in changes { erasures.add(change.draft.erased.filter(offsets.contains)) }
  }

  mutating func sendErasures(_ now: Instant, _ effects: inout Effects) {
    for offset in erasures.take(now: now) {
      effects.publish(
        "$JS.API.STREAM.MSG.DELETE.\(options.stream)", reply: "\(inbox).erased.\(offset)",
        bytes: Api.encode(DeleteRequest(seq: offset)))
    }
  }

  /// Handles the response to a request. After an error the request is repeated.
  mutating func erased(_ offset: Int, _ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    switch Api.decode(message, as: DeleteResponse.self) {
    case .success: erasures.remove(offset)
    case .failure(let error) where error.err_code == ApiError.messageNotFound: erasures.remove(offset)
    case .failure(let error):
      warn("the content of a removed message cannot be deleted from the stream: \(error.text)", now, &effects)
    }
  }
}

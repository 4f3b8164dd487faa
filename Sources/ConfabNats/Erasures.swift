internal import Confab
internal import ConfabChat

// Entries whose content a later change has removed or replaced are deleted from the stream. Each server that reads the
// change requests the deletion until the broker confirms it, so each server may stop at any time. A server reads the
// entry before it requests the deletion: changes published by other programs must not delete messages of other rooms.

/// Entries to delete from the stream.
struct Erasures {
  typealias Instant = ContinuousClock.Instant

  /// Time after which a request without a response is repeated.
  private static let timeout = Duration.seconds(2)
  /// Time after which a request that was rejected is repeated.
  private static let pause = Duration.seconds(60)
  /// Maximum number of entries. The server that opens the room next deletes further entries.
  private static let limit = 10_000

  private struct Entry {
    /// Subject of the entry's room.
    let subject: String
    /// Time of the next request; nil means now.
    var dueAt: Instant?
  }

  private var entries: [Int: Entry] = [:]

  var isEmpty: Bool { entries.isEmpty }

  mutating func add(_ offsets: [Int], subject: String) {
    for offset in offsets where entries.count < Erasures.limit && entries[offset] == nil {
      entries[offset] = Entry(subject: subject)
    }
  }

  /// Returns the entries to request now.
  mutating func take(now: Instant) -> [Int] {
    if isEmpty { return [] }
    let due = entries.filter { $0.value.dueAt.map { now >= $0 } ?? true }.keys.sorted()
    for offset in due { entries[offset]?.dueAt = now + Erasures.timeout }
    return due
  }

  /// Delays the next request, because the last one was rejected.
  mutating func postpone(_ offset: Int, now: Instant) { entries[offset]?.dueAt = now + Erasures.pause }

  /// Returns whether to delete an entry that the stream has stored with this subject.
  func includes(_ offset: Int, subject: String) -> Bool { entries[offset]?.subject == subject }

  mutating func remove(_ offset: Int) { entries[offset] = nil }

  /// Forgets all entries, because another stream replaces the lost one.
  mutating func removeAll() { entries = [:] }
}

extension JetStreamState {
  mutating func sendErasures(_ now: Instant, _ effects: inout Effects) {
    for offset in erasures.take(now: now) {
      request("GET", offset, reply: "stored", &effects)
    }
  }

  private func request(_ verb: String, _ offset: Int, reply: String, _ effects: inout Effects) {
    effects.publish(
      "$JS.API.STREAM.MSG.\(verb).\(options.stream)", reply: "\(inbox).\(reply).\(offset)",
      bytes: Api.encode(EntryRequest(seq: offset)))
  }

  /// Handles the stored entry that is to be deleted.
  mutating func stored(_ offset: Int, _ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    switch Api.decode(message, as: EntryResponse.self) {
    case .success(let response):
      if erasures.includes(offset, subject: response.message.subject) {
        request("DELETE", offset, reply: "erased", &effects)
      } else {
        erasures.remove(offset)
      }
    case .failure(let error): failed(offset, error, now, &effects)
    }
  }

  /// Handles that an entry was deleted.
  mutating func erased(_ offset: Int, _ message: NatsMessage, _ now: Instant, _ effects: inout Effects) {
    switch Api.decode(message, as: DeleteResponse.self) {
    case .success: erasures.remove(offset)
    case .failure(let error): failed(offset, error, now, &effects)
    }
  }

  /// Handles that a request has failed. It is repeated, unless the entry does not exist any more.
  private mutating func failed(_ offset: Int, _ error: ApiError, _ now: Instant, _ effects: inout Effects) {
    if error.isNotFound { return erasures.remove(offset) }
    erasures.postpone(offset, now: now)
    warn("the content of a removed message cannot be deleted from the stream: \(error.text)", now, &effects)
  }
}

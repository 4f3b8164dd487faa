internal import Confab

/// A range of a history's messages. Its memory is freed when all of them are dropped.
struct HistoryChunk {
  static let maxBytes = 16 << 10
  static let maxMessages = 256

  /// Index of the first message.
  let first: Int
  var messages: [StoredMessage] = []
  var bytes: [UInt8] = []

  /// Index after the last message.
  var end: Int { first + messages.count }
  /// Number of bytes used, including overhead.
  var size: Int { bytes.count + messages.count * History.overhead }

  func message(_ index: Int) -> StoredMessage { messages[index - first] }

  /// Replaces the JSON of a message. Returns the growth in bytes.
  mutating func replace(_ index: Int, _ json: [UInt8], edit: Int, isRemoved: Bool) -> Int {
    let old = bytes(index)
    bytes.replaceSubrange(old.startIndex + message(index).keyCount..<old.endIndex, with: json)
    let growth = message(index).keyCount + json.count - old.count
    for later in index - first..<messages.count { messages[later].end += growth }
    messages[index - first].edit = edit
    if isRemoved { messages[index - first].kind = .removedMessage }
    return growth
  }

  /// Frees spare capacity.
  mutating func shrink() {
    if messages.capacity > messages.count + messages.count / 4 { messages = messages.withoutSpareCapacity }
    if bytes.capacity > bytes.count + bytes.count / 4 { bytes = bytes.withoutSpareCapacity }
  }

  func bytes(_ index: Int) -> ArraySlice<UInt8> {
    bytes[(index > first ? message(index - 1).end : 0)..<message(index).end]
  }
}

struct StoredMessage {
  let position: Position
  /// End of the message's bytes: member and tag, if it has both, then the JSON.
  var end: Int
  let tagCount: UInt8
  /// Index of the newest edit of the message; 0 if the message was not edited.
  var edit = 0
  var kind = Kind.message

  enum Kind: UInt8 {
    case message, removedMessage, change
  }

  /// Number of bytes before the JSON.
  var keyCount: Int { tagCount > 0 ? Member.byteCount + Int(tagCount) : 0 }

  func key(in bytes: ArraySlice<UInt8>) -> MemberTag? {
    guard tagCount > 0 else { return nil }
    return MemberTag(
      member: Member(bytes: bytes.prefix(Member.byteCount)),
      tag: String(decoding: bytes.prefix(keyCount).dropFirst(Member.byteCount), as: UTF8.self))
  }
}

extension Array {
  fileprivate var withoutSpareCapacity: [Element] {
    var copy: [Element] = []
    copy.reserveCapacity(count)
    copy.append(contentsOf: self)
    return copy
  }
}

import CSimulation
import Confab

/// A simulated client: the messages it should receive, and those it has received.
final class Client {
  /// A message, by its number. The payload is derived from it.
  struct Item: Equatable {
    let id: UInt32
    let size: Int
  }

  let index: Int
  /// The loop that it connects to.
  let loop: Int
  let socket: OpaquePointer
  /// Released by the world, so that a leak in the server shows.
  var connection: Connection?
  weak var weakConnection: Connection?

  /// The logs that it has joined.
  var logs: Set<Int> = []
  /// The messages that it must receive, in the order in which they were appended and sent. Those of one log are
  /// received in this order. Messages for the client alone keep their place among all others.
  private(set) var expected: [(item: Item, log: Int?)] = []
  var expectedBytes = 0
  /// The maximum number of bytes that it lagged by.
  var mostUnread = 0
  var openedCount = 0
  var closedCount = 0
  /// Whether the server is closing the connection, so that no more messages follow.
  var isClosing = false
  /// Whether it must receive all expected messages.
  var isOwedAll = true
  /// Whether its connection was closing at the end of the world.
  var isFoundClosing = false
  /// The time when the server drops the connection, if it closes it and the client does not read.
  var closeDeadline: UInt64?
  /// The number of messages that it has sent, and that the handler has received.
  var sentCount = 0
  var handledCount = 0
  var hasSentClose = false
  var hasVanished = false

  init(_ index: Int, loop: Int, _ socket: OpaquePointer) {
    (self.index, self.loop, self.socket) = (index, loop, socket)
  }

  /// Expects a message of a log, or for the client alone.
  func expect(_ item: Item, in log: Int?) {
    expected.append((item, log))
    fallBehind(item)
  }

  /// Notes that its cursor is before a message, whether that is for this client or not.
  func fallBehind(_ item: Item) {
    expectedBytes += item.size + 4 * (1 + item.size / 16_384)
    mostUnread = max(mostUnread, expectedBytes - sim_received_count(socket))
  }

  /// The server closes the connection: later messages are not for this client.
  func close(owingAll: Bool) {
    isOwedAll = isOwedAll && (owingAll || isClosing)
    isClosing = true
  }

  /// Whether the server closes the connection, has sent everything before the close frame, and has time left.
  var isOwedCloseFrame: Bool {
    guard let closeDeadline, sim_now() < closeDeadline, !hasVanished else { return false }
    return received()?.items.count == expected.count
  }

  /// Returns the index of the first received message that is not an expected one; nil if there is none.
  func firstUnexpected(_ items: [Item]) -> Int? {
    /// The messages of each log until the next message for the client alone.
    var (next, waiting) = (expected.startIndex, [Int: ArraySlice<Item>]())
    for (index, item) in items.enumerated() {
      if waiting.isEmpty {
        while next < expected.endIndex, let log = expected[next].log {
          waiting[log, default: []].append(expected[next].item)
          next += 1
        }
      }
      if waiting.isEmpty {
        guard next < expected.endIndex, expected[next].item == item else { return index }
        next += 1
      } else {
        guard let log = waiting.first(where: { $0.value.first == item })?.key else { return index }
        waiting[log]?.removeFirst()
        if waiting[log]?.isEmpty == true { waiting[log] = nil }
      }
    }
    return nil
  }

  /// Parses the received bytes by RFC 6455, section 5. Returns nil if they are not frames, or a message was changed.
  /// `isWhole` is false when the last frame is incomplete.
  func received() -> (items: [Item], closeCode: UInt16?, isWhole: Bool)? {
    let bytes = UnsafeBufferPointer(start: sim_received(socket), count: sim_received_count(socket))
    var (items, closeCode, position) = ([Item](), UInt16?.none, 0)
    var (message, isCompressed) = ([UInt8](), false)
    while position < bytes.count {
      guard closeCode == nil else { return nil }
      guard position + 2 <= bytes.count else { return (items, closeCode, false) }
      let (first, length) = (bytes[position], Int(bytes[position + 1]))
      position += 2
      var count = length
      if length == 126 {
        guard position + 2 <= bytes.count else { return (items, closeCode, false) }
        count = Int(bytes[position]) << 8 | Int(bytes[position + 1])
        position += 2
      }
      guard length < 127 else { return nil }
      guard position + count <= bytes.count else { return (items, closeCode, false) }
      let payload = bytes[position..<position + count]
      position += count
      switch first & 15 {
      case 0, 2:
        if first & 15 == 2 { (message, isCompressed) = ([], first & 0x40 != 0) }
        message += payload
        if first & 0x80 != 0 {
          guard let item = Client.item(message, isCompressed) else { return nil }
          items.append(item)
        }
      case 8: closeCode = count < 2 ? 1005 : UInt16(payload.first!) << 8 | UInt16(payload[payload.startIndex + 1])
      case 9, 10: break
      default: return nil
      }
    }
    return (items, closeCode, true)
  }

  /// Returns a message's payload: its number, then its lowest byte repeatedly.
  static func payload(_ item: Item) -> [UInt8] {
    var bytes = [UInt8](repeating: UInt8(item.id & 255), count: item.size)
    for place in 0..<3 { bytes[place] = UInt8(item.id >> (24 - 8 * UInt32(place)) & 255) }
    return bytes
  }

  private static func item(_ message: [UInt8], _ isCompressed: Bool) -> Item? {
    var message = message
    if isCompressed {
      var target = [UInt8](repeating: 0, count: 300_000)
      let count = sim_inflate(message, message.count, &target, target.count)
      guard count <= target.count else { return nil }
      message = Array(target[..<count])
    }
    guard message.count >= 4 else { return nil }
    let id = message[..<4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    let item = Item(id: id, size: message.count)
    return message == payload(item) ? item : nil
  }
}

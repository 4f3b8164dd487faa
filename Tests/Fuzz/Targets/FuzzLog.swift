@testable import Confab

/// A ``BroadcastLog`` under random appends, cursors that are made, read, copied and removed, and readers that report
/// their positions. The model keeps every byte: each cursor reads the bytes after its position, and the log keeps
/// everything that a cursor needs, and at most a segment more.
func fuzzLog(_ input: inout Input) {
  var model = Model()
  // The number of steps is limited because the sizes are large.
  for _ in 0..<200 where !input.isEmpty { model.step(&input) }
  model.end()
}

private final class Reader: LogReader, @unchecked Sendable {
  var (grown, relieved) = (0, 0)
  func logGrew() { grown += 1 }
  func logRelieved() { relieved += 1 }
}

private struct Model {
  let log = BroadcastLog()
  var form: LogForm { log.form(nil) }
  var everything: [UInt8] = []
  var starts = [0]
  var cursors: [Cursor] = []
  var readers: [(reader: Reader, position: Int)] = []
  var isPressed = false
  /// Whether the readers have been notified since the extent was last taken.
  var isGrowthKnown = false
  /// The limit that a reader has reported last.
  var limit = Int.max
  var appended: UInt8 = 0

  mutating func step(_ input: inout Input) {
    switch input.index(below: 11) {
    case 0, 1: append(size: input.element(of: [0, 1, 125, 126, 3000, 16_383, 16_384, 16_385, 40_000, 65_552]))
    case 2: cursors.append(form.makeCursor())
    case 3, 4: read(&input)
    case 5: if !cursors.isEmpty { cursors.append(form.copy(input.element(of: cursors))) }
    case 6: if !cursors.isEmpty { form.remove(cursors.remove(at: input.index(below: cursors.count))) }
    case 7:
      readers.append((Reader(), log.end))
      isGrowthKnown = false
      relieving { [form] in form.remove(form.add($0.readers.last!.reader).cursor) }
    case 8: removeReader(&input)
    case 9:
      let (end, count) = form.takeExtent()
      require(end == everything.count && count == starts.count - 1, "\(count) messages up to \(end)")
      isGrowthKnown = false
    default: note(&input)
    }
    require(log.end == everything.count, "end \(log.end) after \(everything.count) bytes")
    let needed = cursors.map(\.position).min() ?? log.end
    require(form.start <= needed, "a cursor is at \(needed), the log begins at \(form.start)")
    // The slowest cursor's segment, and the open one, which keeps its bytes.
    require(needed - form.start < 2 * Segment.limit, "\(needed - form.start) bytes too much are kept")
    if !readers.isEmpty && lag > limit { isPressed = true }
    require(log.isPressed == isPressed, "pressed is \(log.isPressed)")
  }

  mutating func append(size: Int) {
    appended &+= 1
    let grown = readers.map(\.reader.grown)
    log.append(Message(.binary, [UInt8](repeating: appended, count: size).span))
    let tellings = isGrowthKnown ? 0 : 1
    require(readers.map(\.reader.grown) == grown.map { $0 + tellings }, "a reader was not told, or again")
    isGrowthKnown = true
    // RFC 6455, section 5.2: fragments of 16 KiB.
    var (left, isFirst) = (size, true)
    repeat {
      let count = min(left, 16_384)
      left -= count
      everything += [(left == 0 ? 0x80 : 0) | (isFirst ? 2 : 0)]
      everything += count < 126 ? [UInt8(count)] : [126, UInt8(count >> 8), UInt8(count & 255)]
      everything += [UInt8](repeating: appended, count: count)
      isFirst = false
    } while left > 0
    starts.append(everything.count)
  }

  /// Reads one slice, sometimes only up to the end of a message.
  mutating func read(_ input: inout Input) {
    guard !cursors.isEmpty else { return }
    let index = input.index(below: cursors.count)
    let limit = input.flag() ? starts[max(0, starts.count - 1 - input.index(below: 8))] : Int.max
    let position = cursors[index].position
    guard let slice = form.read(cursors[index], upTo: limit) else {
      require(position >= min(limit, everything.count), "nothing to read at \(position) of \(everything.count)")
      return
    }
    let end = position + slice.count
    require(end <= min(limit, everything.count) && (1...Segment.limit).contains(slice.count), "reads up to \(end)")
    require(slice.bytes[slice.range] == everything[position..<end], "other bytes at \(position)")
    form.advance(&cursors[index], by: slice.count)
  }

  mutating func removeReader(_ input: inout Input) {
    guard !readers.isEmpty else { return }
    let reader = readers.remove(at: input.index(below: readers.count)).reader
    relieving { [form] _ in form.remove(reader) }
  }

  mutating func note(_ input: inout Input) {
    guard !readers.isEmpty else { return }
    let index = input.index(below: readers.count)
    readers[index].position = max(
      readers[index].position, starts[max(0, starts.count - 1 - input.index(below: 8))])
    limit = 1000 * Int(input.byte())
    relieving { [form] in form.note($0.readers[index].reader, at: $0.readers[index].position, limit: $0.limit) }
  }

  /// The bytes that the slowest reader lags by.
  var lag: Int { everything.count - (readers.map(\.position).min() ?? everything.count) }

  /// Calls `body`, which measures the readers. If that ends the pressure, each reader must be notified once.
  mutating func relieving(_ body: (Model) -> Void) {
    let relieved = readers.map(\.reader.relieved)
    let wasPressed = isPressed
    body(self)
    if lag > limit { isPressed = true } else if lag <= limit / 2 { isPressed = false }
    let count = wasPressed && !isPressed ? 1 : 0
    require(readers.map(\.reader.relieved) == relieved.map { $0 + count }, "relief was not told")
  }

  /// Every cursor reads to the end: the log must keep nothing.
  mutating func end() {
    for index in cursors.indices {
      while let slice = form.read(cursors[index]) {
        let position = cursors[index].position
        require(slice.bytes[slice.range] == everything[position..<position + slice.count], "other bytes at \(position)")
        form.advance(&cursors[index], by: slice.count)
      }
      require(cursors[index].position == everything.count, "a cursor ends at \(cursors[index].position)")
    }
    require(log.retained == 0, "\(log.retained) bytes are kept for nobody")
    cursors.forEach(form.remove)
  }
}

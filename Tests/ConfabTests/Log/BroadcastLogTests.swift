import Testing

@testable import Confab

struct BroadcastLogTests {
  @Test func keepsNothingWithoutReaders() {
    let log = BroadcastLog()
    for _ in 0..<100 { log.append(.text, Array("nobody hears this".utf8)) }
    #expect(log.retained == 0)
    #expect(log.end == 100 * 19)
  }

  @Test func cursorReadsWhatIsAppendedAfterIt() {
    let log = BroadcastLog()
    let form = log.form(nil)
    log.append(.text, Array("before".utf8))
    var cursor = form.makeCursor()
    log.append(.text, Array("after".utf8))
    log.append(.binary, [1, 2, 3])
    #expect(form.readAll(&cursor).map(\.contents) == [referenceFrames(1, Array("after".utf8)) + [0x82, 3, 1, 2, 3]])
    #expect(log.retained == 0)
    form.remove(cursor)
  }

  @Test func laggingReadersShareTheBytes() {
    let log = BroadcastLog()
    let form = log.form(nil)
    let cursors = (0..<1000).map { _ in form.makeCursor() }
    for _ in 0..<64 { log.append(.binary, [UInt8](repeating: 1, count: 16_000)) }
    #expect(log.retained == 64 * 16_004)
    cursors.dropLast().forEach(form.remove)
    #expect(log.retained == 64 * 16_004)
    form.remove(cursors.last!)
    #expect(log.retained == 0)
  }

  @Test func limitStopsReadingBetweenMessages() {
    let log = BroadcastLog()
    let form = log.form(nil)
    let cursor = form.makeCursor()
    log.append(.text, [1])
    let mark = log.end
    log.append(.text, [2])
    #expect(form.read(cursor, upTo: mark)?.contents == [0x81, 1, 1])
    #expect(form.read(cursor, upTo: cursor.position) == nil)
    form.remove(cursor)
  }

  @Test func sliceIsOneWrite() {
    let log = BroadcastLog()
    let form = log.form(nil)
    var cursor = form.makeCursor()
    var generator = SeededGenerator(state: 1)
    for _ in 0..<200 {
      log.append(.binary, randomBytes(Int.random(in: 0...40_000, using: &generator), using: &generator))
    }
    for slice in form.readAll(&cursor) {
      #expect(slice.count <= Segment.limit)
      #expect(areWholeFrames(slice.contents))
    }
    form.remove(cursor)
  }

  @Test func readersAreNotifiedWithinAppend() {
    let (log, reader) = (BroadcastLog(), Reader())
    let form = log.form(nil)
    form.remove(form.add(reader).cursor)
    log.append(.text, [])
    #expect(reader.count == 1)
    log.append(.text, [])
    #expect(reader.count == 1, "once, until it has asked how far the log has grown")
    #expect(form.takeExtent().count == 2)
    log.append(.text, [])
    #expect(reader.count == 2)
    form.remove(reader)
    _ = form.takeExtent()
    log.append(.text, [])
    #expect(reader.count == 2)
  }

  @Test func laterReaderIsNotified() {
    let (log, first, second) = (BroadcastLog(), Reader(), Reader())
    let form = log.form(nil)
    form.remove(form.add(first).cursor)
    log.append(.text, [])
    form.remove(form.add(second).cursor)
    log.append(.text, [])
    #expect((first.count, second.count) == (2, 1))
  }

  @Test func unorderedMessagesAreAppendedUntilAnOrderExists() {
    let log = BroadcastLog()
    let form = log.form(nil)
    let message = OwnedMessage("a")
    let isAppended = log.appendUnlessOrdered(message.message, compressed: nil)
    #expect(isAppended)
    log.keepOrder()
    let isAppendedAgain = log.appendUnlessOrdered(message.message, compressed: nil)
    #expect(!isAppendedAgain)
    #expect(form.takeExtent().count == 1)
    log.append(message)
    #expect(form.takeExtent().count == 2)
  }

  private final class Reader: LogReader, @unchecked Sendable {
    var count = 0
    func logGrew() { count += 1 }
    func logRelieved() {}
  }

  private final class Lagging: LogReader, @unchecked Sendable {
    var relieved = 0
    func logGrew() {}
    func logRelieved() { relieved += 1 }
  }

  @Test func logHasPressureWhileAReaderLags() {
    let log = BroadcastLog()
    let form = log.form(nil)
    let (fast, slow) = (Lagging(), Lagging())
    form.remove(form.add(fast).cursor)
    form.remove(form.add(slow).cursor)
    form.note(fast, at: 0, limit: 500)
    for _ in 0..<5 { log.append(.binary, [UInt8](repeating: 0, count: 98)) }
    #expect(!log.isPressed)
    // The pressure shows at once, without a report from a reader.
    log.append(.binary, [UInt8](repeating: 0, count: 98))
    #expect(log.isPressed)
    form.note(fast, at: log.end, limit: 500)
    #expect(log.isPressed)
    form.note(slow, at: log.end - 300, limit: 500)
    #expect(log.isPressed && slow.relieved == 0)
    form.note(slow, at: log.end - 200, limit: 500)
    #expect(!log.isPressed && slow.relieved == 1 && fast.relieved == 1)
  }

  @Test func singleOrLeavingReaderEndsThePressure() {
    let log = BroadcastLog()
    let (one, other) = (Lagging(), Lagging())
    // The readers are in another form. Its pressure counts for the log.
    let form = log.form(.wide)
    form.remove(form.add(one).cursor)
    form.remove(form.add(other).cursor)
    form.note(one, at: 0, limit: 500)
    for _ in 0..<10 { log.append(.binary, [UInt8](repeating: 0, count: 98)) }
    #expect(log.isPressed)
    form.note(one, at: form.end, limit: 500)
    form.remove(other)
    #expect(!log.isPressed && one.relieved == 1)
    for _ in 0..<10 { log.append(.binary, [UInt8](repeating: 0, count: 98)) }
    #expect(log.isPressed)
    form.note(one, at: form.end, limit: 500)
    #expect(!log.isPressed && one.relieved == 2)
  }

  /// Cursors are added, lag, are copied and removed in random order between appends. Every cursor must read exactly the
  /// bytes from its start, and the log must keep no segment before the slowest one.
  @Test(arguments: 0..<30)
  func everyCursorReadsAllBytesFromItsStart(_ seed: UInt64) {
    struct Reader {
      var cursor: Cursor
      let start: Int
      var bytes: [UInt8] = []
    }
    var generator = SeededGenerator(state: seed)
    let log = BroadcastLog()
    let form = log.form(nil)
    var everything: [UInt8] = []
    var readers: [Reader] = []

    func read(_ index: Int, slices: Int) {
      for _ in 0..<slices {
        guard let slice = form.read(readers[index].cursor) else { return }
        readers[index].bytes += slice.contents
        form.advance(&readers[index].cursor, by: slice.count)
      }
    }

    for _ in 0..<250 {
      switch Int.random(in: 0..<12, using: &generator) {
      case 0...4:
        let size = [0, 5, 200, 5000, 16_384, 40_000].randomElement(using: &generator)!
        let payload = randomBytes(size, using: &generator)
        log.append(.binary, payload)
        everything += referenceFrames(2, payload)
      case 5, 6:
        readers.append(Reader(cursor: form.makeCursor(), start: log.end))
      case 7...9 where !readers.isEmpty:
        read(readers.indices.randomElement(using: &generator)!, slices: Int.random(in: 1...4, using: &generator))
      case 10 where !readers.isEmpty:
        let model = readers.randomElement(using: &generator)!
        readers.append(Reader(cursor: form.copy(model.cursor), start: model.cursor.position))
      case 11 where !readers.isEmpty:
        form.remove(readers.remove(at: readers.indices.randomElement(using: &generator)!).cursor)
      default: break
      }
      #expect(log.end == everything.count)
      let slowest = readers.map(\.cursor.position).min() ?? log.end
      #expect(form.start <= slowest && slowest - form.start < 2 * Segment.limit)
    }
    for index in readers.indices {
      read(index, slices: .max)
      #expect(readers[index].bytes == Array(everything[readers[index].start...]))
    }
    #expect(log.retained == 0)
    for reader in readers { form.remove(reader.cursor) }
  }

  private func areWholeFrames(_ bytes: [UInt8]) -> Bool {
    var index = 0
    while index + 1 < bytes.count {
      let length = bytes[index + 1]
      index += length < 126 ? 2 + Int(length) : 4 + Int(bytes[index + 2]) * 256 + Int(bytes[index + 3])
    }
    return index == bytes.count
  }
}

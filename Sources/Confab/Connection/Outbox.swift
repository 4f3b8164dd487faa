/// Messages for one connection alone. Each is sent after all bytes that were in the connection's log when it was
/// queued.
final class Outbox {
  private var queue = SegmentQueue()
  private var position = 0
  /// The bytes up to `end` are sent once the log has been read up to `after`.
  private var marks: ArraySlice<(after: Int, end: Int)> = []

  init() { queue.enter(at: 0) }

  /// Bytes that are not sent yet.
  var count: Int { queue.end - position }

  func append(_ message: Message, after: Int) {
    queue.append(message)
    mark(after)
  }

  func append(_ frames: Slice, after: Int) {
    queue.append(frames)
    mark(after)
  }

  private func mark(_ after: Int) {
    if let last = marks.indices.last, marks[last].after == after {
      marks[last].end = queue.end
    } else {
      marks.append((after, queue.end))
    }
  }

  /// Position that the log must be read up to before the next bytes are sent.
  var nextMark: Int? { marks.first?.after }

  func read() -> Slice? {
    marks.first.flatMap { queue.read(at: position, upTo: $0.end) }
  }

  func advance(by count: Int) {
    queue.move(from: position, to: position + count)
    position += count
    if let first = marks.first, first.end == position { _ = marks.popFirst() }
  }
}

/// A log in one form, as a reader uses it. Any thread.
struct LogForm: Hashable {
  let log: BroadcastLog
  /// Nil for the uncompressed form.
  let compression: Compression?

  static func == (one: LogForm, other: LogForm) -> Bool {
    one.log === other.log && one.compression == other.compression
  }

  func hash(into hasher: inout Hasher) {
    hasher.combine(ObjectIdentifier(log))
    hasher.combine(compression)
  }

  private func withFrames<Result: Sendable>(_ body: (inout FrameLog) -> Result) -> Result {
    log.withFrames(compression, body)
  }

  /// The position of the first byte that is kept.
  var start: Int { withFrames { $0.start } }
  /// The position after the last byte.
  var end: Int { withFrames { $0.end } }

  /// See ``FrameLog/takeExtent()``.
  func takeExtent() -> (end: Int, count: Int) { withFrames { $0.takeExtent() } }

  /// See ``FrameLog/add(_:)``.
  func add(_ reader: any LogReader) -> (cursor: Cursor, count: Int) { withFrames { $0.add(reader) } }

  func remove(_ reader: any LogReader) { withFrames { $0.remove(reader) } }

  /// See ``FrameLog/note(_:at:limit:)``.
  func note(_ reader: any LogReader, at position: Int, limit: Int) {
    withFrames { $0.note(reader, at: position, limit: limit) }
  }

  /// Returns a new cursor at the end, which reads the bytes that are appended from now on.
  func makeCursor() -> Cursor { withFrames { $0.makeCursor() } }

  /// Returns a second cursor at the position of `cursor`.
  func copy(_ cursor: Cursor) -> Cursor { withFrames { $0.copy(cursor) } }

  /// See ``FrameLog/read(_:upTo:)``.
  func read(_ cursor: Cursor, upTo limit: Int = .max) -> Slice? { withFrames { $0.read(cursor, upTo: limit) } }

  /// Moves `cursor` forward by `count` bytes. Bytes before the first cursor are freed.
  func advance(_ cursor: inout Cursor, by count: Int) {
    let destination = cursor.position + count
    withFrames { [cursor] in $0.advance(cursor, to: destination) }
    cursor.move(to: destination)
  }

  func remove(_ cursor: Cursor) { withFrames { $0.remove(cursor) } }
}

/// A reader that the log notifies. Both functions are called with the log's lock held: they must return at once and
/// must not call the log.
protocol LogReader: AnyObject, Sendable {
  /// Handles that the log has grown. Called on the appending thread, once until a reader calls
  /// ``LogForm/takeExtent()``.
  func logGrew()
  /// Handles that the readers of the form are within the limit again, see ``FrameLog/note(_:at:limit:)``. Called on the
  /// thread that noticed this.
  func logRelieved()
}

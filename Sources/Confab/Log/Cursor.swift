internal import Synchronization

/// A reader's position in a ``BroadcastLog``: it has read every byte before `position` and none after.
///
/// A cursor is a position, not a copy: any number of slow readers share the same bytes. Unread bytes stay in the log
/// until the cursor moves past them or is removed. Every cursor is removed once, by ``BroadcastLog/remove(_:)``.
struct Cursor {
  /// The value for a reader without a cursor.
  static let none = Cursor(position: 0)

  fileprivate(set) var position: Int
}

/// A reader that the log notifies of growth. Both functions are called with the log's lock held: they must return at
/// once and must not call the log.
protocol LogReader: AnyObject, Sendable {
  /// The log has grown. Called on the appending thread, once until a reader calls ``BroadcastLog/takeExtent()``.
  func logGrew()
  /// ``BroadcastLog/isPressed`` has become false. Called on the thread that noticed.
  func logRelieved()
}

extension BroadcastLog.State {
  mutating func makeCursor() -> Cursor {
    queue.enter(at: queue.end)
    return Cursor(position: queue.end)
  }
}

extension BroadcastLog {
  /// Returns a new cursor at the end of the log: it reads what is appended from now on.
  func makeCursor() -> Cursor { state.withLock { $0.makeCursor() } }

  /// Returns a second cursor at the position of `cursor`.
  func copy(_ cursor: Cursor) -> Cursor {
    state.withLock { $0.queue.enter(at: cursor.position) }
    return cursor
  }

  /// Returns the next bytes for `cursor`, at most one segment and not beyond the position `limit`; nil if there are
  /// none.
  func read(_ cursor: Cursor, upTo limit: Int = .max) -> Slice? {
    state.withLock { $0.queue.read(at: cursor.position, upTo: limit) }
  }

  /// Moves `cursor` forward by `count` bytes. Bytes before the first cursor are freed.
  func advance(_ cursor: inout Cursor, by count: Int) {
    let destination = cursor.position + count
    state.withLock { [cursor] in $0.queue.move(from: cursor.position, to: destination) }
    cursor.position = destination
  }

  func remove(_ cursor: Cursor) {
    state.withLock { state in
      state.queue.leave(at: cursor.position)
      state.releaseUnread()
      state.countBytes()
    }
  }
}

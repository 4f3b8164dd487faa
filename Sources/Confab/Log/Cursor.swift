internal import Synchronization

/// A reader's place in a ``BroadcastLog``: it has read every byte before `position` and none after.
///
/// It holds a position, not a copy: any number of readers that lag share the same bytes. What is not yet read stays in
/// the log until the cursor moves past it or is removed, so every cursor is removed once, by ``BroadcastLog/remove(_:)``.
struct Cursor {
  /// That of a reader that has none yet.
  static let none = Cursor(position: 0)

  fileprivate(set) var position: Int
}

/// What keeps up with a log, and wants to know when it has grown. Both calls come with the log's lock held: they must
/// return at once and not call the log.
protocol LogReader: AnyObject, Sendable {
  /// Called on the thread that appends, once until a reader has asked by ``BroadcastLog/takeExtent()``.
  func logGrew()
  /// Called when ``BroadcastLog/isPressed`` has become false, on the thread that noticed.
  func logRelieved()
}

extension BroadcastLog.State {
  mutating func makeCursor() -> Cursor {
    queue.enter(at: queue.end)
    return Cursor(position: queue.end)
  }
}

extension BroadcastLog {
  /// A new cursor at the end of the log: it will read what is appended from now on.
  func makeCursor() -> Cursor { state.withLock { $0.makeCursor() } }

  /// A second cursor at the place of `cursor`.
  func copy(_ cursor: Cursor) -> Cursor {
    state.withLock { $0.queue.enter(at: cursor.position) }
    return cursor
  }

  /// What comes next for `cursor`, at most one segment and not beyond the position `limit`; nil if there is nothing.
  func read(_ cursor: Cursor, upTo limit: Int = .max) -> Slice? {
    state.withLock { $0.queue.read(at: cursor.position, upTo: limit) }
  }

  /// Moves `cursor` past `count` bytes. What no cursor has before it is forgotten.
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

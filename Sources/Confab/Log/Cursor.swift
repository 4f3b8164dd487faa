/// A reader's position in a form of a ``BroadcastLog``: it has read every byte before `position` and none after.
///
/// A cursor is a position, not a copy: any number of slow readers share the same bytes. Unread bytes stay in the log
/// until the cursor moves past them or is removed. Every cursor is removed once, by ``LogForm/remove(_:)-(Cursor)``.
struct Cursor {
  /// The value for a reader without a cursor.
  static let none = Cursor(position: 0)

  private(set) var position: Int

  init(position: Int) { self.position = position }

  mutating func move(to position: Int) { self.position = position }
}

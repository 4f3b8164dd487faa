internal import Confab

// The program's own messages. As for a client's message, the engine assigns the offset, and all members get the
// messages in one order.

extension Chat {
  /// Publishes a text to all members of a room, on all servers, and returns its position. Any thread.
  ///
  /// With NATS, or with a history file and the durability `full`, this returns when the message is stored. If the task
  /// is cancelled before, the message may still be published.
  ///
  /// - Parameters:
  ///   - text: 1 to ``ChatOptions/maxTextLength`` characters. Control characters other than newlines and tabs are
  ///     removed.
  ///   - room: the path of the room, such as `/tea`. The room is opened if necessary.
  ///   - name: the name of the sender. A member of the room may have the same name.
  ///   - key: an identifier of the message, 1 to 64 ASCII letters, digits, - and _. While the room stores a message of
  ///     the program with this key, a second message with the key is not published: the call returns the position of
  ///     the first message.
  @discardableResult
  public func publish(
    _ text: String, in room: String, as name: String, key: String? = nil
  ) async throws(ChatError) -> StreamPosition {
    try await publish(try programMessage(text, in: room, as: name, key: key))
  }

  private func publish(_ message: ProgramMessage) async throws(ChatError) -> StreamPosition {
    let reference = try await open(message.room)
    return try await publish(message, reference).value.get()
  }

  /// Returns a message for ``publish(_:_:)``. Throws if an argument is wrong.
  package func programMessage(
    _ text: String, in room: String, as name: String, key: String?
  ) throws(ChatError) -> ProgramMessage {
    let text = try checked(text)
    guard let tag = Tag(key ?? Chat.randomKey) else {
      throw ChatError(.keyInvalid, "the key must have 1 to \(Tag.maxLength) ASCII letters, digits, - and _")
    }
    let name = try checkedName(name)
    return ProgramMessage(entry: .message, epoch: nil, text: text, room: try checkedRoom(room), name: name, tag: tag)
  }

  /// Returns a change of a message for ``publish(_:_:)``: an edit, or a removal if the text is nil. Throws if an
  /// argument is wrong.
  package func programChange(
    of position: StreamPosition, to text: String?, in room: String, as name: String
  ) throws(ChatError) -> ProgramMessage {
    guard let tag = Tag(Chat.randomKey) else { preconditionFailure("random keys are valid") }
    let text = try text.map { text throws(ChatError) in try checked(text) }
    return ProgramMessage(
      entry: text == nil ? .removal(of: position.offset) : .edit(of: position.offset), epoch: position.epoch,
      text: text, room: try checkedRoom(room), name: try checkedName(name),
      tag: tag)
  }

  /// Publishes a message, and returns when the room has it. So consecutive calls keep their order. Calls `done` once,
  /// on any thread, now or later. Any thread.
  package func publish(
    _ message: ProgramMessage, _ done: @escaping @Sendable (Result<StreamPosition, ChatError>) -> Void
  ) async {
    do throws(ChatError) {
      let result = try publish(message, try await open(message.room))
      Task { done(await result.value) }
    } catch {
      done(.failure(error))
    }
  }

  /// Publishes a message, and returns a task that waits for the result.
  private func publish(
    _ message: ProgramMessage, _ reference: ProgramReference
  ) throws(ChatError) -> Task<Result<StreamPosition, ChatError>, Never> {
    if let epoch = message.epoch { try reference.room.checkEpoch(epoch) }
    let quota = programQuota()
    let (results, continuation) = AsyncStream.makeStream(of: Result<StreamPosition, ChatError>.self)
    if let quota, quota.isExhausted {
      continuation.yield(.failure(ChatError(.tooManyPending, "too many messages are pending")))
    } else {
      reference.room.publish(message, quota) { continuation.yield($0) }
    }
    return Task {
      // Keeps the room open until the result arrives. The reference must not be released under the room's lock.
      defer { withExtendedLifetime(reference) {} }
      for await result in results { return result }
      return .failure(ChatError(.unknown, "the room was closed"))
    }
  }

  /// Removes the content of a message for all members, on all servers and from the history, and returns the position of
  /// the removal. Clients of the plain protocol are not informed. Any thread.
  ///
  /// - Parameters:
  ///   - position: the position of the message.
  ///   - room: the path of the room. The room is opened if necessary.
  ///   - name: the name of the member or program that removes the message.
  /// - Throws: ``ChatError/Code/historyGone`` if the message is not stored, or has been removed.
  @discardableResult
  public func remove(
    _ position: StreamPosition, in room: String, as name: String
  ) async throws(ChatError) -> StreamPosition {
    try await publish(try programChange(of: position, to: nil, in: room, as: name))
  }

  /// Replaces the text of a message for all members, on all servers and in the history, and returns the position of the
  /// edit. Clients of the plain protocol are not informed. Any thread.
  ///
  /// - Parameters:
  ///   - position: the position of the message.
  ///   - text: the new text, see ``publish(_:in:as:key:)``.
  ///   - room: the path of the room. The room is opened if necessary.
  ///   - name: the name of the member or program that edits the message.
  /// - Throws: ``ChatError/Code/historyGone`` if the message is not stored, or has been removed.
  @discardableResult
  public func edit(
    _ position: StreamPosition, to text: String, in room: String, as name: String
  ) async throws(ChatError) -> StreamPosition {
    try await publish(try programChange(of: position, to: text, in: room, as: name))
  }

  private static var randomKey: String { String(UInt64.random(in: .min ... .max), radix: 36) }

  func checkedName(_ name: String) throws(ChatError) -> Name {
    guard let name = Name(name, limit: options.maxNameLength) else {
      throw ChatError(.nameInvalid, "the name must have 1 to \(options.maxNameLength) visible characters")
    }
    return name
  }

  /// Returns a page of a room's history: the newest messages before `before`, the oldest ones after `after`, or the
  /// newest ones. Any thread.
  ///
  /// - Parameters:
  ///   - room: the path of the room. The room is opened if necessary.
  ///   - after: the position after which the page begins.
  ///   - before: the position before which the page ends. Ignored if `after` is set.
  ///   - count: maximum number of messages, at most 100. A page has at most 256 KiB, or one message.
  public func history(
    of room: String, after: StreamPosition? = nil, before: StreamPosition? = nil, count: Int = 50
  ) async throws(ChatError) -> HistoryPage {
    try await open(room).room.page(after: after, before: before, count: count)
  }

  /// Returns the members of a room on all servers; none if the room is not open on this server. Any thread.
  public func members(of room: String) -> MemberList {
    rooms.room(room.composed)?.memberList ?? MemberList(names: [], count: 0)
  }

  /// Returns a sequence of the messages of a room after a position, followed by new messages as they are published. Any
  /// thread.
  /// Any thread.
  ///
  /// The sequence is a cursor in the room's history. If its reader stores the position of each message that it has
  /// handled, and begins there after a restart, it handles each message at least once. A reader that lags so far that
  /// the room does not have the next message any more gets the error ``ChatError/Code/historyGone``.
  ///
  /// ```swift
  /// for try await message in chat.publications(in: "/tea", after: stored) {
  ///   print(message.name ?? "plain client", message.text ?? "")
  ///   stored = message.position
  /// }
  /// ```
  ///
  /// - Parameters:
  ///   - room: the path of the room. The room is opened if necessary.
  ///   - position: the position after which the sequence begins. Nil begins with the first message after this call, and
  ///     keeps the room open while the sequence exists.
  public func publications(in room: String, after position: StreamPosition? = nil) -> Publications {
    Publications(chat: self, room: room, after: position)
  }

  /// Returns a sequence of the changes of a room's members on all servers: first a ``MemberChange/joined(_:)`` for each
  /// member that is in the room, and then each change. Any thread.
  ///
  /// A program that applies the changes to an empty list always has the members of the room. The sequence looks for
  /// changes at most every 200 ms and when the program reads it. Therefore a member that joins and leaves in the
  /// meantime is not reported, and slow readers need no more memory. Members of the plain protocol have no names and
  /// are not reported. The room stays open while the sequence is read.
  ///
  /// ```swift
  /// for try await change in chat.memberChanges(in: "/tea") {
  ///   if case .joined(let member) = change { print(member.name, "has joined") }
  /// }
  /// ```
  ///
  /// - Parameter room: the path of the room. The room is opened if necessary.
  public func memberChanges(in room: String) -> MemberChanges { MemberChanges(chat: self, room: room) }

  private func checked(_ text: String) throws(ChatError) -> Text {
    do throws(Text.Invalid) {
      return try Text(text, limit: options.maxTextLength)
    } catch {
      throw ChatError(
        .textInvalid,
        error == .empty ? "the text is empty" : "the text has more than \(options.maxTextLength) characters")
    }
  }

  /// Returns the name of the room with this path.
  package func checkedRoom(_ path: String) throws(ChatError) -> String {
    let name = path.composed
    guard name.utf8.first == UInt8(ascii: "/"), name.utf8.count <= Chat.maxRoomLength else {
      throw ChatError(
        .roomInvalid, "the room must be a path that begins with '/', of at most \(Chat.maxRoomLength) bytes")
    }
    return name
  }

  /// Waits until a room is open, and returns a reference to it.
  func open(_ path: String) async throws(ChatError) -> ProgramReference {
    let reference = try reference(to: path)
    guard await reference.waitUntilOpen(within: Chat.openTimeout) else {
      throw ChatError(.unavailable, isAvailable ? "the room is not open in time" : "the engine cannot be reached")
    }
    return reference
  }

  /// Returns a reference to a room, which may not be open yet.
  func reference(to path: String) throws(ChatError) -> ProgramReference {
    let name = try checkedRoom(path)
    guard rooms.hasCapacity(for: name) else { throw ChatError(.tooManyRooms, "there are too many rooms") }
    return ProgramReference(counted: rooms.enter(name))
  }

  static let maxRoomLength = 1 << 10
  private static let openTimeout = Duration.seconds(10)
}

/// A message of the program, or a change of a message, whose arguments are valid.
package struct ProgramMessage: Sendable {
  let entry: EntryKind
  /// Epoch of the changed message; nil for a message.
  let epoch: String?
  /// Nil for a removal.
  let text: Text?
  let room: String
  let name: Name
  let tag: Tag
}

/// The messages of a room, see ``Chat/publications(in:after:)``.
public struct Publications: AsyncSequence, Sendable {
  public typealias Element = ChatMessage
  public typealias Failure = ChatError

  let chat: Chat
  let room: String
  let after: StreamPosition?
  /// Observer since the creation of the sequence, if `after` is nil.
  private let start: RoomObserver?

  init(chat: Chat, room: String, after: StreamPosition?) {
    (self.chat, self.room, self.after) = (chat, room, after)
    start = after == nil ? (try? chat.reference(to: room)).map { RoomObserver(of: .messages, in: $0) } : nil
  }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }

  /// Reads the room's history, and waits for new messages at its end.
  public final class AsyncIterator: AsyncIteratorProtocol {
    private let source: Publications
    private var position: StreamPosition?
    private var observer: RoomObserver?
    /// Messages of the last page that have not been returned, newest first.
    private var page: [ChatMessage] = []

    init(_ source: Publications) { (self.source, position) = (source, source.after) }

    /// Returns the next message; nil if the task is cancelled.
    public func next(isolation actor: isolated (any Actor)?) async throws(ChatError) -> ChatMessage? {
      let observer = try await begin(isolation: actor)
      while !Task.isCancelled {
        if let message = page.popLast() {
          position = message.position
          return message
        }
        page = try observer.room.page(after: position, before: nil, count: 100).messages.reversed()
        if page.isEmpty { await observer.wait() }
      }
      return nil
    }

    private func begin(isolation actor: isolated (any Actor)?) async throws(ChatError) -> RoomObserver {
      if let observer { return observer }
      let observer = RoomObserver(of: .messages, in: try await source.chat.open(source.room))
      self.observer = observer
      position = position ?? source.start?.start ?? observer.start
      return observer
    }
  }
}

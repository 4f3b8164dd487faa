/// The messages of a room, see ``Chat/publications(in:after:)``.
public struct Publications: AsyncSequence, Sendable {
  public typealias Element = ChatMessage
  public typealias Failure = ChatError

  let chat: Chat
  let room: String
  let after: StreamPosition?
  /// Observer since the creation of the sequence, if `after` is nil.
  private let start: Observer?

  init(chat: Chat, room: String, after: StreamPosition?) {
    (self.chat, self.room, self.after) = (chat, room, after)
    start = after == nil ? (try? chat.reference(to: room)).map(Observer.init) : nil
  }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }

  /// Reads the room's history, and waits for new messages at its end.
  public final class AsyncIterator: AsyncIteratorProtocol {
    private let source: Publications
    private var position: StreamPosition?
    private var observer: Observer?
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

    private func begin(isolation actor: isolated (any Actor)?) async throws(ChatError) -> Observer {
      if let observer { return observer }
      let observer = Observer(try await source.chat.open(source.room))
      self.observer = observer
      position = position ?? source.start?.start ?? observer.start
      return observer
    }
  }

  /// Waits for messages of a room, which it keeps open.
  private final class Observer: Sendable {
    private let reference: ProgramReference
    private let signals: AsyncStream<Void>
    var room: ChatRoom { reference.room }
    /// Position of the newest message when the observer began; nil until the room is open.
    var start: StreamPosition? { room.start(of: ObjectIdentifier(reference)) }

    init(_ reference: ProgramReference) {
      let (signals, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
      self.reference = reference
      self.signals = signals
      reference.room.observe(ObjectIdentifier(reference)) { continuation.yield() }
    }

    deinit { room.stopObserving(ObjectIdentifier(reference)) }

    /// Returns when the messages may have changed, or the task is cancelled.
    func wait() async { for await _ in signals { return } }
  }
}

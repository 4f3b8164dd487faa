/// A member of a room, and the member's name. Clients of the plain protocol have no names and are not included.
public struct RoomMember: Sendable, Hashable, Identifiable {
  /// Identifier of the member, as in ``ChatMessage/member``.
  public let id: Member
  /// The name.
  public let name: String
  /// ``Identity/id`` of the user; nil for a guest.
  public let user: String?
}

/// A change of the members of a room.
public enum MemberChange: Sendable, Hashable {
  /// The member has joined, or was in the room when the sequence began.
  case joined(RoomMember)
  /// The member has left the room, with its last name.
  case left(RoomMember)
  /// The member has a new name.
  case renamed(RoomMember, from: String)
}

/// The changes of a room's members, see ``Chat/memberChanges(in:)``.
public struct MemberChanges: AsyncSequence, Sendable {
  public typealias Element = MemberChange
  public typealias Failure = ChatError

  let chat: Chat
  let room: String

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }

  /// Compares the members of the room with the reported members, whenever the members may have changed.
  public final class AsyncIterator: AsyncIteratorProtocol {
    /// Minimum interval between comparisons, each of which reads all members.
    private static let interval = Duration.milliseconds(200)

    private let source: MemberChanges
    private var watcher: RoomObserver?
    private var known: [Member: RoomMember] = [:]
    /// Changes that have not been returned, newest first.
    private var changes: [MemberChange] = []
    private var nextComparison = ContinuousClock.now

    init(_ source: MemberChanges) { self.source = source }

    /// Returns the next change; nil if the task is cancelled.
    public func next(isolation actor: isolated (any Actor)?) async throws(ChatError) -> MemberChange? {
      let watcher = try await begin(isolation: actor)
      while !Task.isCancelled {
        if let change = changes.popLast() { return change }
        try? await Task.sleep(until: nextComparison)
        nextComparison = .now + AsyncIterator.interval
        compare(with: watcher.room.members)
        if changes.isEmpty { await watcher.wait() }
      }
      return nil
    }

    private func begin(isolation actor: isolated (any Actor)?) async throws(ChatError) -> RoomObserver {
      if let watcher { return watcher }
      let watcher = RoomObserver(of: .members, in: try await source.chat.open(source.room))
      self.watcher = watcher
      return watcher
    }

    private func compare(with members: [RoomMember]) {
      let new = Dictionary(members.map { ($0.id, $0) }) { first, _ in first }
      for (id, old) in known where new[id] == nil { changes.append(.left(old)) }
      for member in members {
        guard let old = known[member.id] else {
          changes.append(.joined(member))
          continue
        }
        if old.name != member.name { changes.append(.renamed(member, from: old.name)) }
      }
      changes.reverse()
      known = new
    }
  }
}

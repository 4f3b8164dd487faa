import Confab
import Testing

@testable import ConfabChat
@testable import ConfabNats

struct PublishQueueTests {
  private static func message(_ id: String, room: Int = 1) -> PendingDraft {
    PendingDraft(room: room, subject: "s", id: id, draft: Draft(kind: .text, bytes: []), quota: nil, publisherID: 0)
  }

  private func ids(_ queue: inout PublishQueue, isOpen: (Int) -> Bool = { _ in true }) -> [String] {
    queue.take(now: .now, isOpen: isOpen).map(\.message.id)
  }

  @Test func oneMessageOfASenderIsOnItsWay() {
    var queue = PublishQueue()
    for id in ["a", "b", "c"] { queue.append(Self.message(id)) }
    #expect(ids(&queue) == ["a"])
    #expect(ids(&queue) == [])
    let settled = [queue.settle(id: "a"), queue.settle(id: "a")].map { $0 != nil }
    #expect(settled == [true, false])
    #expect(ids(&queue) == ["b"])
    queue.resendAll()
    #expect(ids(&queue) == ["b"])
  }

  @Test func a_message_that_another_server_has_sent_is_not_sent() {
    var queue = PublishQueue()
    for id in ["a", "b", "c"] { queue.append(Self.message(id)) }
    _ = queue.settle(id: "b")
    #expect(ids(&queue) == ["a"])
    _ = queue.settle(id: "a")
    #expect(ids(&queue) == ["c"])
    _ = queue.settle(id: "c")
    #expect(queue.isEmpty)
  }

  @Test func a_message_that_waits_for_its_room_is_not_overtaken() {
    var queue = PublishQueue()
    queue.append(Self.message("a", room: 1))
    queue.append(Self.message("b", room: 2))
    #expect(ids(&queue, isOpen: { $0 == 2 }) == [])
    queue.wake(room: 2)
    #expect(ids(&queue) == [])
    queue.wake(room: 1)
    #expect(ids(&queue) == ["a"])
    queue.wake(room: 1)
    #expect(ids(&queue) == [])
  }
}

import Confab
import ConfabTestSupport
import Synchronization
import Testing

@testable import ConfabChat

struct VacantRoomTests {
  /// An engine without messages that reports when rooms are opened and closed.
  private final class Ledger: Engine {
    let isShared = true
    let isAvailable = true
    let entries: AsyncStream<String>
    private let write: AsyncStream<String>.Continuation

    init() { (entries, write) = AsyncStream.makeStream() }

    private final class TestRoom: EngineRoom {
      private let whenClosed: @Sendable () -> Void
      private let last = Atomic(0)

      init(_ whenClosed: @escaping @Sendable () -> Void) { self.whenClosed = whenClosed }

      func publish(_ draft: () -> Draft, _ quota: PublisherQuota?) -> Position? {
        Position(offset: last.add(1, ordering: .relaxed).newValue, time: 0)
      }
      func close() { whenClosed() }
    }

    func open(_ room: String, _ delegate: any RoomDelegate) -> any EngineRoom {
      write.yield("+\(room)")
      delegate.opened(.empty)
      return TestRoom { [write] in write.yield("-\(room)") }
    }

    func shutdown() async {}
  }

  @Test func aRoomThatIsLeftIsClosedWhenNobodyHasComeBackForAWhile() async throws {
    let ledger = Ledger()
    let chat = Chat(options: ChatOptions(), engine: ledger, vacantRoomTimeout: .milliseconds(100))
    let server = try chat.makeServer(Configuration(port: 0))
    try server.start()
    let port = server.port
    let (first, second) = try await blocking {
      let clients = (try RawClient(port: port, path: "/a"), try RawClient(port: port, path: "/b"))
      for client in [clients.0, clients.1] {
        try client.send("x")
        #expect(try client.receive() == .text("x"))
      }
      return clients
    }
    var entries = ledger.entries.makeAsyncIterator()
    var told = Set([await entries.next(), await entries.next()])
    #expect(told == ["+/a", "+/b"])
    second.hangUp()
    told = [await entries.next()]
    #expect(told == ["-/b"] && chat.occupancy == ["/a": 1])
    first.hangUp()
    told = [await entries.next()]
    #expect(told == ["-/a"] && chat.occupancy.isEmpty)
    server.stop()
    await server.waitUntilStopped()
  }

  @Test func theirPlacesAreForOthers() throws {
    let ledger = Ledger()
    var options = ChatOptions()
    options.maxRooms = 2
    let chat = Chat(options: options, engine: ledger, vacantRoomTimeout: .seconds(3600))
    for name in ["/a", "/b", "/c"] { chat.rooms.leave(chat.rooms.enter(name)) }
    #expect(chat.rooms.hasCapacity(for: "/d") && chat.occupancy.isEmpty)
    let stays = chat.rooms.enter("/c")
    #expect(chat.rooms.enter("/c") === stays)
  }

  @Test(.timeLimit(.minutes(1))) func theyAreClosedWithTheChat() async {
    let ledger = Ledger()
    var chat: Chat? = Chat(options: ChatOptions(), engine: ledger, vacantRoomTimeout: .seconds(3600))
    if let chat { chat.rooms.leave(chat.rooms.enter("/a")) }
    chat = nil
    var entries = ledger.entries.makeAsyncIterator()
    let told = [await entries.next(), await entries.next()]
    #expect(told == ["+/a", "-/a"])
  }
}

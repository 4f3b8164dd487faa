internal import Confab
internal import Synchronization

/// Engine for rooms that exist only in this process. It assigns offsets at once.
public final class MemoryEngine: Engine {
  public let isShared = false
  public let isAvailable = true

  /// Creates an engine.
  public init() {}

  public func open(_ room: String, _ sink: any RoomSink) -> any RoomOrder {
    sink.opened(.nothing)
    return Order()
  }

  public func shutdown() async {}

  private final class Order: RoomOrder {
    private let last = Atomic(0)

    func place(_ post: () -> Post, from sender: Sender?) -> Place? {
      Place(id: last.add(1, ordering: .relaxed).newValue, at: WallClock.milliseconds)
    }

    func close() {}
  }
}

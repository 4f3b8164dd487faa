internal import Confab
internal import Synchronization

/// Engine for rooms that exist only in this process. It assigns offsets at once.
public final class MemoryEngine: Engine {
  public let isShared = false
  public let isAvailable = true

  /// Creates an engine.
  public init() {}

  public func open(_ room: String, _ delegate: any RoomDelegate) -> any EngineRoom {
    delegate.opened(.empty)
    return MemoryRoom()
  }

  public func shutdown() async {}
}

private final class MemoryRoom: EngineRoom {
  private let lastOffset = Atomic(0)

  func publish(_ draft: () -> Draft, _ quota: PublisherQuota?) -> Position? {
    Position(offset: lastOffset.add(1, ordering: .relaxed).newValue, time: WallClock.milliseconds)
  }

  func close() {}
}

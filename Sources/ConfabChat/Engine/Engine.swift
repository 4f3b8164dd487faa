/// Assigns offsets to the messages of rooms, and stores them. ``Chat`` uses this process's memory by default.
///
/// A room publishes each message through its ``EngineRoom``. An engine that knows the offset at once returns it. An
/// engine that needs a disk or a broker passes the publication to the room's ``RoomDelegate`` later. A room's log
/// contains publications in the order of their offsets, so all readers see one order.
///
/// Any thread may call an engine.
public protocol Engine: Sendable {
  /// Whether messages outlive this process or reach other processes. Such an engine gets all messages. Other engines do
  /// not see messages of rooms that only plain clients have used.
  var isShared: Bool { get }

  /// Whether messages can get offsets now: ``Chat/isAvailable``.
  var isAvailable: Bool { get }

  /// Whether messages are stored. If they are not, because a disk is full for example, they are still delivered.
  var isStored: Bool { get }

  /// Opens a room. The engine calls ``RoomDelegate/opened(_:)`` before this returns, or later, when the engine is
  /// reachable. Until then the room admits no clients and passes on no messages. An engine that is not shared opens a
  /// room before this returns, and assigns offsets at once.
  ///
  /// The engine keeps `delegate` until ``EngineRoom/close()``. A room is not opened again before that.
  func open(_ room: String, _ delegate: any RoomDelegate) -> any EngineRoom

  /// Begins to keep the restrictions of the chat. The chat calls this once, before it opens a room. The engine calls
  /// ``RestrictionDelegate/restored(_:)`` before it opens the first room. The default implementation stores nothing.
  func openRestrictions(_ delegate: any RestrictionDelegate)

  /// Stores a change of the restrictions, and passes it on to other servers. The change is in effect on this server
  /// already. The engine calls `done` once, on any thread, at once or later: with true when the change is stored or
  /// certain to be stored, with false if it will not be stored, or if the engine shuts down before the result is known.
  /// The default implementation calls `done` at once.
  func store(_ change: RestrictionChange, _ done: @escaping @Sendable (_ isStored: Bool) -> Void)

  /// Shuts the engine down. Pending messages get their offsets, if that is possible within a few seconds. The rooms are
  /// closed.
  func shutdown() async
}

extension Engine {
  /// By default, only stored messages are delivered.
  public var isStored: Bool { true }
  /// Does nothing: by default, restrictions last as long as the process.
  public func openRestrictions(_ delegate: any RestrictionDelegate) {}
  /// Calls `done` with true: by default, restrictions last as long as the process.
  public func store(_ change: RestrictionChange, _ done: @escaping @Sendable (_ isStored: Bool) -> Void) { done(true) }
}

/// The engine's side of a room.
public protocol EngineRoom: Sendable {
  /// Publishes a message and returns its position. Nil means that the message is pending. The engine later calls
  /// ``RoomDelegate/published(_:)`` or ``RoomDelegate/rejected(_:)``, or includes the message in the snapshot of
  /// ``RoomDelegate/opened(_:)``. It calls `quota.release(_:)` once, just before or after that. Messages of one quota
  /// keep their order. The quota is nil if the engine is not shared.
  ///
  /// The room calls this with its lock held, one call at a time. The engine must not call the delegate during the call,
  /// and must not block.
  func publish(_ draft: () -> Draft, _ quota: PublisherQuota?) -> Position?

  /// Informs other servers that a user is typing. The default implementation does nothing.
  func typing(_ name: String)

  /// Signals that the presence on this server has changed. The room does not signal again until the engine has queried
  /// the presence from the delegate. The room holds its lock during the call, so the engine must not call the delegate.
  /// The default implementation does nothing.
  func presenceChanged()

  /// Closes the room. The engine releases the delegate as soon as it handles the call. Pending messages still get their
  /// offsets.
  func close()
}

extension EngineRoom {
  /// Does nothing.
  public func typing(_ name: String) {}
  /// Does nothing.
  public func presenceChanged() {}
}

/// The restrictions of a chat, as an engine sees them. Any thread, one call at a time.
public protocol RestrictionDelegate: AnyObject, Sendable {
  /// Replaces all restrictions with the stored ones, including changes that are still being stored.
  func restored(_ restrictions: [Restriction])
  /// Applies a change by another server, or a change by this server that the engine has now stored.
  func changed(_ change: RestrictionChange)
}

/// A room, as an engine sees it. The engine makes the calls for one room one at a time, on any thread, and not from
/// within ``EngineRoom/publish(_:_:)``.
public protocol RoomDelegate: AnyObject, Sendable {
  /// Opens the room, which then answers the handshakes of its clients. The engine calls this again when messages may
  /// have been missed, or when a new epoch begins, for example because the engine has lost its data. The clients are
  /// then closed with 1012.
  func opened(_ snapshot: RoomSnapshot)
  /// Begins a new epoch. The room keeps its messages. Clients are closed with 1012, because offsets that they know may
  /// be assigned again.
  func epochChanged(_ epoch: String)
  /// Delivers publications in the order of their offsets. A publication whose offset is not above all earlier offsets
  /// is a repetition of an earlier publication.
  func published(_ publications: [Publication])
  /// Rejects drafts that are too large for the broker. They do not get an offset.
  func rejected(_ drafts: [Draft])
  /// Signals that the engine has become unreachable, or reachable again. Messages sent meanwhile are pending.
  func availabilityChanged(_ isAvailable: Bool)

  /// Returns the members of the room on this server, with the version of the list; nil if `version` is still current.
  /// The engine may call this at any time.
  func presence(unless version: Int) -> (presence: ServerPresence, version: Int)?
  /// Sets the members of the room on another server. `presence` is empty when the other server has gone.
  func presenceChanged(on server: String, to presence: ServerPresence)
  /// Reports that a user on another server is typing.
  func typed(_ name: String)
}

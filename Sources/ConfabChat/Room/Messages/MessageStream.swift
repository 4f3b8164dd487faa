internal import Confab

/// The messages of a room. Published messages are stored and delivered in one order. For pending messages, only the
/// publisher is stored.
struct MessageStream {
  private let options: ChatOptions
  private let logs: RoomLogs
  private let budget: HistoryBudget
  /// Maximum size of a text for readers of the rich protocol, see ``MessageEvent``.
  private let maxTextBytes: Int
  /// Assigns the offsets; nil while the room is being made.
  private(set) var engine: (any EngineRoom)?
  /// Epoch of the offsets. It shows a returning client whether its offsets are still valid.
  private(set) var epoch = ""
  private var history: History
  /// Publishers of pending messages with a tag.
  private var publishers: [MemberTag: Publisher] = [:]
  /// Calls of the program that wait for messages.
  private var observers: [ObjectIdentifier: Observer] = [:]
  private var waiting = WaitingConnections()

  init(_ options: ChatOptions, _ logs: RoomLogs, _ budget: HistoryBudget) {
    (self.options, self.logs, self.budget) = (options, logs, budget)
    maxTextBytes = MessageEvent.maxTextBytes(textLimit: options.maxTextLength)
    history = History(maxMessages: options.maxHistoryMessages, maxBytes: options.maxHistoryBytes)
  }

  mutating func attach(_ engine: any EngineRoom) { self.engine = engine }

  // MARK: Publishing

  /// Publishes a message of the plain protocol. Returns whether it is pending.
  mutating func publish(
    _ message: Message, _ forms: BroadcastLog.CompressedForms?, _ quota: PublisherQuota?, to audience: Audience
  ) -> Bool {
    guard let position = engine?.publish({ Draft(message) }, quota) else { return true }
    append(message, at: position, forms, to: audience)
    return false
  }

  enum PublishResult {
    case published
    case pending
    /// The message was published before, and is still pending.
    case alreadyPending
    /// The room has the message already, with this JSON.
    case alreadyPublished(Position, ArraySlice<UInt8>)
  }

  /// Publishes a message of the rich protocol, or of the program.
  mutating func publish(
    _ bytes: [UInt8], tag: Tag, from member: Member, named name: Name, _ publisher: Publisher,
    _ quota: PublisherQuota?, to audience: Audience
  ) -> PublishResult {
    let key = MemberTag(member: member, tag: tag.text)
    if let (position, json) = history.message(with: key) { return .alreadyPublished(position, json) }
    // The message is sent when it gets its offset.
    if let earlier = publishers.updateValue(publisher, forKey: key) {
      publishers[key] = publisher.joined(by: earlier)
      return .alreadyPending
    }
    let draft = { Draft(kind: .text, bytes: bytes, name: name.text, member: member, tag: tag.text) }
    guard let position = engine?.publish(draft, quota) else { return .pending }
    let message = Message(.text, bytes.span)
    append(message, name: name.text, member: member, tag: tag.text, at: position, nil, to: audience)
    return .published
  }

  /// Publishes a change of a message. The caller has checked that the message is stored and not removed.
  ///
  /// - Parameter publisher: nil if the result is not needed.
  /// - Returns: whether the change is pending.
  mutating func publish(
    change draft: Draft, _ publisher: Publisher?, _ quota: PublisherQuota?, to audience: Audience
  ) -> Bool {
    if let publisher, let key = MemberTag(draft.member, draft.tag) { publishers[key] = publisher }
    guard let position = engine?.publish({ draft }, quota) else { return true }
    append(change: Publication(draft, at: position), to: audience)
    return false
  }

  /// Returns the draft of a change.
  func change(_ entry: EntryKind, _ bytes: [UInt8], tag: String? = nil, by member: Member, named name: Name) -> Draft {
    Draft(entry, kind: .text, bytes: bytes, name: name.text, member: member, tag: tag)
  }

  /// Returns the author of a message that can be changed; nil if it is not stored, or was removed.
  func author(at offset: Int) -> History.Author? { history.author(at: offset) }

  /// Stores a change, applies it to the stored message, and informs the readers. Clients of the plain protocol are not
  /// informed.
  private mutating func append(change: Publication, to audience: Audience) {
    let position = change.position
    MemberTag(change.draft.member, change.draft.tag).flatMap { publishers.removeValue(forKey: $0) }?
      .published(at: StreamPosition(epoch: epoch, offset: position.offset))
    guard position.offset > history.lastOffset else { return }
    expire()
    var event: [UInt8] = []
    tally { event = $0.append(change: change) }
    logs.append(event, to: audience)
    for observer in observers.values { observer.wake() }
  }

  /// Adds a publication of the engine.
  mutating func append(_ publication: Publication, _ forms: BroadcastLog.CompressedForms?, to audience: Audience) {
    let draft = publication.draft
    if draft.entry.target != nil { return append(change: publication, to: audience) }
    append(
      Message(draft.kind, draft.bytes.span), name: draft.name, member: draft.member, tag: draft.tag,
      at: publication.position, forms, to: audience)
  }

  /// Stores a message with its offset, and appends it to the logs that have readers.
  private mutating func append(
    _ message: Message, name: String? = nil, member: Member? = nil, tag: String? = nil, at position: Position,
    _ forms: BroadcastLog.CompressedForms?, to audience: Audience
  ) {
    let publisher = MemberTag(member, tag).flatMap { publishers.removeValue(forKey: $0) }
    publisher?.published(at: StreamPosition(epoch: epoch, offset: position.offset))
    guard position.offset > history.lastOffset else {
      // The engine already had the message, and the room has dropped it. Only the publisher gets the message again.
      if case .connection(let connection, let room) = publisher {
        let json = json(message, name, member, tag, position)
        connection.loop.execute {
          (connection.handlerState as? RichConnection)?.send(json[...], ofRoom: room, connection)
        }
      }
      return
    }
    expire()
    let isNeeded = audience.hasRich || options.maxHistoryMessages > 0
    let event = isNeeded ? json(message, name, member, tag, position) : []
    tally { $0.append(event, member: member, tag: tag, at: position) }
    if let name {
      if audience.hasPlain {
        let form = PlainProtocol.form(of: message, from: name, at: position.time)
        logs.plain.append(Message(.text, form.span))
      }
    } else {
      logs.plain.append(message, compressed: forms)
    }
    logs.append(event, to: audience)
    for observer in observers.values { observer.wake() }
  }

  private func json(
    _ message: Message, _ name: String?, _ member: Member?, _ tag: String?, _ position: Position
  ) -> [UInt8] {
    MessageEvent(at: position, message, from: name, member: member, tag: tag, maxTextBytes: maxTextBytes).json
  }

  /// Informs the connections whose messages the engine has rejected.
  mutating func reject(_ drafts: [Draft]) {
    for key in drafts.compactMap({ MemberTag($0.member, $0.tag) }) {
      publishers.removeValue(forKey: key)?.rejected(key.tag)
    }
  }

  // MARK: Epochs

  /// Replaces the history with an engine's snapshot.
  mutating func restore(_ snapshot: RoomSnapshot) {
    // Pending messages may be in the snapshot, or may be lost.
    let publishers = exchange(&self.publishers, with: [:])
    let empty = History(maxMessages: options.maxHistoryMessages, maxBytes: options.maxHistoryBytes)
    tally { [maxTextBytes] history in
      history = empty
      history.restore(snapshot, maxTextBytes: maxTextBytes)
    }
    expire()
    begin(epoch: snapshot.epoch)
    let end = end
    for observer in observers.keys where observers[observer]?.start == nil { observers[observer]?.start = end }
    for (key, publisher) in publishers {
      publisher.ended(at: history.message(with: key).map { StreamPosition(epoch: epoch, offset: $0.position.offset) })
    }
  }

  mutating func begin(epoch: String) {
    self.epoch = epoch
    waiting.resumeAll()
    for observer in observers.values { observer.wake() }
  }

  // MARK: Waiting

  /// Returns whether the room has all messages that the client has. If not, calls `resume` on the connection's loop as
  /// soon as the room has them: the client's previous server may be ahead of this server.
  mutating func hasCaughtUp(
    with hello: ClientEvent.Hello, _ connection: Connection, _ resume: @escaping @Sendable () -> Void
  ) -> Bool {
    guard let after = hello.after, hello.epoch == epoch, after > history.lastOffset else { return true }
    waiting.add(connection, until: after, resume)
    return false
  }

  mutating func stopWaiting(_ connection: Connection) { waiting.remove(connection) }

  /// Resumes the connections whose awaited messages the room has.
  mutating func resumeCaughtUp() { waiting.resume(upTo: history.lastOffset) }

  // MARK: Reading

  var lastOffset: Int { history.lastOffset }
  /// Offset of the oldest stored message.
  var oldestOffset: Int { history.oldestOffset }

  struct Missed {
    let messages: [ArraySlice<UInt8>]
    var more = false
    /// Whether messages that the client has missed are not stored any more.
    var hasGap = false

    /// Returns the response to a client that may not read the history.
    static func hidden(_ hello: ClientEvent.Hello) -> Missed { Missed(messages: [], hasGap: hello.after != nil) }
  }

  /// Returns the messages that a returning client has missed. Returns the newest messages for a new client, or if
  /// missed messages have been dropped.
  mutating func missed(_ hello: ClientEvent.Hello) -> Missed {
    expire()
    if let epoch = hello.epoch, let after = hello.after {
      if epoch == self.epoch && after <= history.lastOffset && history.isWhole(after: after) {
        let page = history.page(after: after, count: History.maxPage)
        return Missed(messages: page.messages, more: page.more)
      }
    }
    let page = history.page(before: .max, count: hello.history ?? options.joinMessages)
    return Missed(messages: page.messages, hasGap: hello.epoch != nil && hello.after != nil)
  }

  /// Returns a page of the history; nil if the requested messages have been dropped.
  mutating func page(_ request: ClientEvent.HistoryRequest) -> HistoryEvent? {
    expire()
    let count = request.count ?? options.joinMessages
    if let after = request.after, !history.isWhole(after: after) { return nil }
    let page =
      request.after.map { history.page(after: $0, count: count) }
      ?? history.page(before: request.before ?? .max, count: count)
    return HistoryEvent(
      messages: page.messages, oldest: history.oldestOffset, before: request.before, after: request.after,
      more: page.more)
  }

  // MARK: The program

  /// The position of the newest message.
  var end: StreamPosition { StreamPosition(epoch: epoch, offset: history.lastOffset) }

  private struct Observer {
    let wake: @Sendable () -> Void
    /// Position of the newest message when the observer began, or when the room opened; nil until the room is open.
    var start: StreamPosition?
  }

  /// Calls `wake` whenever the messages may have changed, with the room's lock held.
  mutating func observe(_ observer: ObjectIdentifier, isOpen: Bool, _ wake: @escaping @Sendable () -> Void) {
    observers[observer] = Observer(wake: wake, start: isOpen ? end : nil)
  }

  /// Returns the position at which an observer began; nil until the room is open.
  func start(of observer: ObjectIdentifier) -> StreamPosition? { observers[observer]?.start }

  mutating func stopObserving(_ observer: ObjectIdentifier) { observers[observer] = nil }

  /// Returns a page of the history.
  mutating func page(
    after: StreamPosition?, before: StreamPosition?, count: Int
  ) throws(ChatError) -> (messages: [ArraySlice<UInt8>], more: Bool) {
    expire()
    guard (after?.epoch ?? epoch) == epoch, (before?.epoch ?? epoch) == epoch else {
      throw .otherEpoch
    }
    guard let after else { return history.page(before: before?.offset ?? .max, count: count) }
    guard history.isWhole(after: after.offset) else {
      throw ChatError(.historyGone, "messages after \(after.offset) are not stored any more")
    }
    return history.page(after: after.offset, count: count)
  }

  // MARK: Memory

  /// Memory of the history in bytes, which the budget includes.
  var bytes: Int { history.bytes }
  var isEmpty: Bool { history.isEmpty }

  /// Drops old messages, until `count` bytes are free or no message is left.
  mutating func drop(_ count: Int) { tally { $0.drop(count) } }

  /// Frees the spare capacity of the newest messages.
  mutating func shrink() { history.shrink() }

  /// Drops expired messages.
  private mutating func expire() {
    let age = options.maxHistoryAge
    if age > .zero { tally { $0.drop(olderThan: WallClock.milliseconds - age.components.seconds * 1000) } }
  }

  /// Changes the history, and updates the budget.
  private mutating func tally(_ body: (inout History) -> Void) {
    let bytes = history.bytes
    body(&history)
    budget.add(history.bytes - bytes)
  }
}

extension BroadcastLog {
  func append(_ event: some ServerEvent) {
    let json = event.json
    append(Message(.text, json.span))
  }
}

internal import CConfab
internal import Confab
internal import ConfabChat
internal import Dispatch
internal import Synchronization

/// The chat of a server: the program's calls and subscriptions, and their callbacks. Any thread.
///
/// Callbacks run on a queue, one at a time. So they may block without stalling a loop or Swift's tasks.
final class HostedChat: Sendable {
  /// Maximum number of calls that have not ended.
  private static let maxCalls = 16384

  let chat: Chat
  private let callbacks = DispatchQueue(label: "confab.chat")
  private static let key = DispatchSpecificKey<ObjectIdentifier>()
  /// Calls and subscriptions that have not ended.
  private let running = DispatchGroup()
  /// Messages to publish, in the order of the calls.
  private let drafts: AsyncStream<Draft>.Continuation
  private let state = Mutex(State())

  private struct State {
    var isEnded = false
    var calls = 0
    var lastCall = 0
    /// Functions that end the calls with an error, if the engine has not completed them.
    var pending: [Int: @Sendable (ChatError) -> Void] = [:]
    var subscriptions: [ObjectIdentifier: Subscription] = [:]
  }

  private struct Draft: Sendable {
    let message: ProgramMessage
    let done: @Sendable (Result<StreamPosition, ChatError>) -> Void
  }

  init(_ chat: Chat) {
    self.chat = chat
    let (stream, continuation) = AsyncStream.makeStream(of: Draft.self)
    drafts = continuation
    callbacks.setSpecific(key: HostedChat.key, value: ObjectIdentifier(self))
    // Ended by end().
    Task { for await draft in stream { await chat.publish(draft.message, draft.done) } }
  }

  /// Ends the subscriptions, waits for all calls, and shuts the engine down. No callback runs afterwards.
  func end() {
    let subscriptions = state.withLock { state in
      state.isEnded = true
      defer { state.subscriptions = [:] }
      return state.subscriptions.values
    }
    for subscription in subscriptions { subscription.cancel() }
    waitForCalls()
    drafts.finish()
    let isShutDown = DispatchSemaphore(value: 0)
    Task { [engine = chat.engine] in
      await engine.shutdown()
      isShutDown.signal()
    }
    isShutDown.wait()
    for fail in state.withLock({ $0.pending.values }) {
      fail(ChatError(.unknown, "the server was destroyed before the engine could be reached"))
    }
    running.wait()
    callbacks.sync {}
  }

  /// Waits until all calls have ended, or the engine could not be reached for ``patience``.
  private func waitForCalls() {
    var end = ContinuousClock.now + HostedChat.patience
    while running.wait(timeout: .now() + .milliseconds(50)) == .timedOut && ContinuousClock.now < end {
      if chat.engine.isAvailable { end = ContinuousClock.now + HostedChat.patience }
    }
  }

  /// Maximum time for which a chat that ends waits for an engine that cannot be reached.
  private static let patience = Duration.seconds(5)

  /// Throws in callbacks, which must not wait for their own end.
  func checkThread() throws(CError) {
    if isCallbackThread {
      throw CError(CONFAB_ERROR_THREAD, "a callback of the chat would wait for its own end: use confab_stop()")
    }
  }

  private var isCallbackThread: Bool { DispatchQueue.getSpecific(key: HostedChat.key) == ObjectIdentifier(self) }

  // MARK: Calls

  /// Publishes a message. `done` is called once, on the queue.
  func publish(
    _ message: ProgramMessage, _ done: @escaping @Sendable (Result<StreamPosition, ChatError>) -> Void
  ) throws(CError) {
    drafts.yield(Draft(message: message, done: try beginCall(done)))
  }

  /// Makes a change of the restrictions. `done` is called once, on the queue.
  func submit(_ change: RestrictionChange, _ done: @escaping @Sendable (ChatError?) -> Void) throws(CError) {
    let end: Completion<Void> = try beginCall { result in
      if case .failure(let error) = result { done(error) } else { done(nil) }
    }
    Task {
      do throws(ChatError) { end(.success(try await chat.submit(change))) } catch { end(.failure(error)) }
    }
  }

  /// Reads a page. `done` is called once, on the queue.
  func history(
    of room: String, after: StreamPosition?, before: StreamPosition?, count: Int,
    _ done: @escaping @Sendable (Result<HistoryPage, ChatError>) -> Void
  ) throws(CError) {
    let end = try beginCall(done)
    Task {
      do throws(ChatError) {
        end(.success(try await chat.history(of: room, after: after, before: before, count: count)))
      } catch {
        end(.failure(error))
      }
    }
  }

  private typealias Completion<Value> = @Sendable (Result<Value, ChatError>) -> Void

  /// Begins a call, and returns the function that ends it. The first call of this function calls `done`, on the queue.
  private func beginCall<Value: Sendable>(_ done: @escaping Completion<Value>) throws(CError) -> Completion<Value> {
    let id = try state.withLock { state throws(CError) in
      try HostedChat.check(state)
      guard state.calls < HostedChat.maxCalls else {
        throw CError(CONFAB_ERROR_PENDING, "\(HostedChat.maxCalls) calls are pending")
      }
      state.calls += 1
      state.lastCall += 1
      running.enter()
      return state.lastCall
    }
    let end: Completion<Value> = { result in self.endCall(id) { done(result) } }
    state.withLock { $0.pending[id] = { end(.failure($0)) } }
    return end
  }

  private func endCall(_ id: Int, _ callback: @escaping @Sendable () -> Void) {
    guard state.withLock({ $0.pending.removeValue(forKey: id) }) != nil else { return }
    callbacks.async { [self] in
      callback()
      state.withLock { $0.calls -= 1 }
      running.leave()
    }
  }

  private static func check(_ state: borrowing State) throws(CError) {
    if state.isEnded { throw CError(CONFAB_ERROR_CLOSED, "the server is being destroyed") }
  }

  // MARK: Subscriptions

  /// Begins to read a sequence. This object keeps the subscription until it ends. `register` is called before the first
  /// callback.
  func subscribe<Sequence: AsyncSequence & Sendable>(
    to sequence: Sequence, _ register: (Subscription) -> Void,
    _ callback: @escaping @Sendable (Result<Sequence.Element, ChatError>) -> Void
  ) throws(CError) where Sequence.Element: Sendable, Sequence.Failure == ChatError {
    let subscription = Subscription(self)
    try state.withLock { state throws(CError) in
      try HostedChat.check(state)
      state.subscriptions[ObjectIdentifier(subscription)] = subscription
      running.enter()
    }
    register(subscription)
    subscription.read(sequence, callback) { self.running.leave() }
  }

  /// Ends and releases a subscription. Its callback is not called again.
  func unsubscribe(_ subscription: Subscription) {
    subscription.cancel()
    state.withLock { $0.subscriptions[ObjectIdentifier(subscription)] = nil }
    if !isCallbackThread { callbacks.sync {} }
  }

  /// Runs `body` on the queue, and returns when it has finished.
  func call(_ body: @escaping @Sendable () -> Void) async {
    await withCheckedContinuation { done in
      callbacks.async {
        body()
        done.resume()
      }
    }
  }
}

/// The target of a `confab_chat_subscription`. The chat keeps it until confab_chat_unsubscribe() or confab_destroy().
@safe final class Subscription: Sendable {
  private let chat: HostedChat
  private let isCancelled = Atomic(false)
  private let task = Mutex<Task<Void, Never>?>(nil)
  private let origin = OriginProcess()

  init(_ chat: HostedChat) { self.chat = chat }

  /// Calls the callback for each element, and then `ended`.
  func read<Sequence: AsyncSequence & Sendable>(
    _ sequence: Sequence, _ callback: @escaping @Sendable (Result<Sequence.Element, ChatError>) -> Void,
    _ ended: @escaping @Sendable () -> Void
  ) where Sequence.Element: Sendable, Sequence.Failure == ChatError {
    task.withLock {
      $0 = Task {
        do throws(ChatError) {
          var elements = sequence.makeAsyncIterator()
          while let element = try await elements.next(isolation: nil) {
            await report { callback(.success(element)) }
          }
        } catch {
          await report { callback(.failure(error)) }
        }
        ended()
      }
      if isCancelled.load(ordering: .acquiring) { $0?.cancel() }
    }
  }

  private func report(_ callback: @escaping @Sendable () -> Void) async {
    await chat.call { [self] in if !isCancelled.load(ordering: .acquiring) { callback() } }
  }

  func cancel() {
    isCancelled.store(true, ordering: .releasing)
    task.withLock { $0?.cancel() }
  }

  // MARK: Pointers

  /// The handle is valid while the chat keeps this object.
  var handle: OpaquePointer { unsafe OpaquePointer(Unmanaged.passUnretained(self).toOpaque()) }

  static func end(_ handle: OpaquePointer?) throws(CError) {
    guard let handle = unsafe handle else { throw .argument("the subscription is NULL") }
    let subscription = unsafe Unmanaged<Subscription>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
    try subscription.origin.checked()
    subscription.chat.unsubscribe(subscription)
  }
}

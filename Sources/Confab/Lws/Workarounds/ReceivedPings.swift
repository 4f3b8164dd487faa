internal import CLibwebsockets
internal import Synchronization

// Pings of clients, which libwebsockets answers by itself, one pong at a time. It drops pings that arrive before the
// pong is sent (lib/roles/ws/ops-ws.c, "DROP PING since one pending"). So reading stops at each ping until its pong is
// sent, and a peer gets a pong for every ping, within its rate. The exception is a peer that does not read what it is
// sent: the loop polls its socket for output in any case, so the peer may get a pong only for the first of several
// pings (RFC 6455, section 5.5.3, allows this).
//
// No callback reports a ping. The server sees that the loop polls the socket for output, although it has not asked for
// that and the socket is not full: lws has a pong to send. If lws does not report changes of poll events, or libuv's
// table of watchers cannot be read, the server logs a warning, and lws's own behaviour stays.

/// The reports of changed poll events.
enum PollReports {
  /// The answer to LWS_CALLBACK_GET_THREAD_ID, which makes lws report changes. It is equal on every thread: otherwise
  /// lws would wake its loop for a change on another thread.
  static let threadID: Int32 = 1
  /// Number of contexts that report changes.
  private static let count = Atomic(0)

  /// Handles the first LWS_CALLBACK_GET_THREAD_ID of a context.
  static func wereTurnedOn() { count.wrappingAdd(1, ordering: .relaxed) }

  /// Turns the reports on. Returns false if lws has not asked for the thread, or if the loop's table of watchers cannot
  /// be read.
  static func turnOn(in context: OpaquePointer, _ uv: UvLoop) -> Bool {
    let before = count.load(ordering: .relaxed)
    unsafe shim_report_poll_changes(context, uv.loop) { _, reason, _, _, _ in
      guard reason == LWS_CALLBACK_GET_THREAD_ID else { return 0 }
      PollReports.wereTurnedOn()
      return PollReports.threadID
    }
    let isTableReadable = unsafe shim_sees_watchers(uv.loop) != 0
    return isTableReadable && count.load(ordering: .relaxed) != before
  }
}

/// The state of a connection's output.
struct Output {
  /// Whether lws has not answered the last ping yet.
  fileprivate var isPongPending = false
  /// Whether the loop polls the socket for output.
  fileprivate var isPolled = false
  /// Whether the loop polls for output because the server has something to write.
  fileprivate var isRequested = false
}

extension Connection {
  /// Whether lws has not answered the last ping yet.
  var isPongPending: Bool { output.isPongPending }

  /// Handles LWS_CALLBACK_GET_THREAD_ID: the loop polls the socket for other events than before.
  func pollEventsChanged() {
    guard let socket else { return }
    let wasPolled = output.isPolled
    output.isPolled = loop.pollsOutput(socket)
    if wasPolled && !output.isPolled && hasSentCloseFrame { closeFrameWasSent() }
    guard state == .open, output.isPolled, !wasPolled, !output.isRequested, !socket.isBlocked else { return }
    output.isPongPending = true
    noteActivity()
    if let meter, let rate = meter.takePing(now: loop.now) { noteSlowed(rate) }
    loop.reads.stop(self)
  }

  /// Reads on after the close frame was sent, to receive the peer's close frame.
  private func closeFrameWasSent() {
    output.isPongPending = false
    loop.reads.resume(self)
  }

  /// Handles LWS_CALLBACK_SERVER_WRITEABLE for a ping: reads on after the pong was sent.
  func outputWasPossible() {
    output.isRequested = false
    guard output.isPongPending else { return }
    output.isPongPending = false
    loop.reads.resume(self)
  }

  /// Asks for LWS_CALLBACK_SERVER_WRITEABLE, once the kernel takes more.
  func requestWritable() {
    output.isRequested = true
    socket?.requestWritable()
  }

  /// Makes lws read on. For that, lws itself polls for output.
  func setReading() {
    output.isRequested = true
    socket?.setReading(true)
    output.isRequested = output.isPolled
  }
}

extension EventLoop {
  /// Returns whether the loop polls a socket for output.
  fileprivate func pollsOutput(_ socket: Socket) -> Bool { unsafe shim_polls_output(uv.loop, socket.descriptor) != 0 }
}

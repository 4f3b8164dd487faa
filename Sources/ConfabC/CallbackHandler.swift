internal import CConfab
internal import Confab

/// Calls the program's callbacks.
@safe final class CallbackHandler: Handler {
  private let callbacks: confab_callbacks
  private let userData: UnsafeMutableRawPointer?
  private unowned let host: HostedServer
  private let loop: EventLoop

  init(_ callbacks: confab_callbacks, _ userData: UnsafeMutableRawPointer?, host: HostedServer, on loop: EventLoop) {
    self.callbacks = callbacks
    unsafe self.userData = userData
    (self.host, self.loop) = (host, loop)
  }

  func authorize(_ request: borrowing Request) -> Authorization {
    guard let authorize = unsafe callbacks.authorize else { return .accept() }
    let view = RequestView(request, on: loop)
    return unsafe ProgramDecision.authorization { handle in unsafe view.lend { unsafe authorize(handle, $0, userData) }
    }
  }

  func response(to request: borrowing Request) -> Response? {
    guard let http = unsafe callbacks.http else { return nil }
    let view = RequestView(request, on: loop, isAnswerable: true)
    unsafe view.lend { unsafe http($0, userData) }
    return view.response
  }

  func opened(_ connection: Connection, request: Request) {
    let context = connection.programContext ?? ConnectionContext()
    context.host = host
    connection.context = context
    guard let opened = unsafe callbacks.opened else { return }
    unsafe RequestView(request, on: loop).lend { unsafe opened(connection.handle, $0, userData) }
  }

  func received(_ message: Message, from connection: Connection) {
    guard let callback = unsafe callbacks.message else { return }
    unsafe message.bytes.withUnsafeBytes { bytes in
      // An empty message has no address; `data` must not be NULL.
      let data = unsafe bytes.baseAddress ?? UnsafeRawPointer(constant(""))
      unsafe callback(connection.handle, Int32(message.kind.rawValue), data, bytes.count, userData)
    }
  }

  func drained(_ connection: Connection) {
    unsafe callbacks.drained?(connection.handle, userData)
  }

  func moving(_ connection: Connection, after delay: Duration) {
    unsafe callbacks.moving?(connection.handle, Int64(delay / .milliseconds(1)), userData)
  }

  func closed(_ connection: Connection, _ close: Close) {
    if let closed = unsafe callbacks.closed {
      unsafe close.reason.withCString {
        unsafe closed(connection.handle, Int32(close.code.rawValue), $0, close.isClean ? 1 : 0, userData)
      }
    }
    guard let context = connection.programContext else { return }
    for room in context.rooms { host.rooms?.leave(room) }
    (context.rooms, context.host) = ([], nil)
  }
}

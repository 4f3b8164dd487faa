internal import CConfab
internal import Confab

/// The target of a `confab_request`: a request during the callback that receives it.
@safe final class RequestView {
  private let source: RequestSource
  private let loop: EventLoop
  private let isAnswerable: Bool
  /// The program's response.
  private(set) var response: Response?
  /// Strings that were returned to the program; freed when the callback has returned.
  private var strings = unsafe [UnsafeMutablePointer<CChar>]()

  init(_ request: borrowing Request, on loop: EventLoop, isAnswerable: Bool = false) {
    source = request.source
    self.loop = loop
    self.isAnswerable = isAnswerable
  }

  init(_ request: RequestHead, on loop: EventLoop) {
    (source, self.loop, isAnswerable) = (RequestSource(request), loop, false)
  }

  /// Calls `body` with an unretained handle.
  func lend(_ body: (OpaquePointer) -> Void) {
    unsafe body(OpaquePointer(Unmanaged.passUnretained(self).toOpaque()))
    unsafe strings.forEach { unsafe CMemory.free($0) }
    unsafe strings = []
  }

  static func of(_ handle: OpaquePointer?) throws(CError) -> RequestView {
    guard let handle = unsafe handle else { throw .argument("the request is NULL") }
    let view = unsafe Unmanaged<RequestView>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
    try view.loop.origin.checked()
    guard view.loop.isCurrent else {
      throw CError(CONFAB_ERROR_THREAD, "a request must be used on the thread of its callback")
    }
    return view
  }

  func with<Value>(_ read: (borrowing Request) -> Value) -> Value { read(Request(source)) }

  func answer(_ response: Response) throws(CError) {
    guard isAnswerable, self.response == nil else {
      throw CError(CONFAB_ERROR_STATE, "only a request of the callback `http` can be answered, and only once")
    }
    self.response = response
  }

  func string(_ read: (borrowing Request) -> String?) -> UnsafePointer<CChar>? {
    guard let text = with(read) else { return nil }
    let copy = unsafe CMemory.copy(text)
    unsafe strings.append(copy)
    return unsafe UnsafePointer(copy)
  }
}

private func requested(
  _ handle: OpaquePointer?, _ read: (borrowing Request) -> String?
) -> UnsafePointer<CChar>? {
  unsafe value(or: nil) { () throws(CError) in unsafe try RequestView.of(handle).string(read) }
}

@c @implementation
public func confab_request_path(_ request: OpaquePointer?) -> UnsafePointer<CChar>? {
  unsafe requested(request) { $0.path }
}

@c @implementation
public func confab_request_query(_ request: OpaquePointer?, _ name: UnsafePointer<CChar>?) -> UnsafePointer<CChar>? {
  unsafe value(or: nil) { () throws(CError) in
    let name = try unsafe string(name, "name")
    return try unsafe RequestView.of(request).string { $0[query: name] }
  }
}

@c @implementation
public func confab_request_header(_ request: OpaquePointer?, _ name: UnsafePointer<CChar>?) -> UnsafePointer<CChar>? {
  unsafe value(or: nil) { () throws(CError) in
    let name = try unsafe string(name, "name")
    return try unsafe RequestView.of(request).string { $0[header: name] }
  }
}

@c @implementation
public func confab_request_subprotocol(_ request: OpaquePointer?) -> UnsafePointer<CChar>? {
  unsafe requested(request) { $0.subprotocol }
}

@c @implementation
public func confab_request_remote_host(_ request: OpaquePointer?) -> UnsafePointer<CChar>? {
  unsafe requested(request) { $0.remoteHost }
}

@c @implementation
public func confab_request_remote_port(_ request: OpaquePointer?) -> Int32 {
  result { () throws(CError) in Int32(try unsafe RequestView.of(request).with { $0.remotePort }) }
}

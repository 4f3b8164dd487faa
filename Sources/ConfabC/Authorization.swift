internal import CConfab
internal import Confab
internal import Synchronization

/// The target of a `confab_authorization`: a decision that the program makes, within its callback or later.
@safe final class ProgramDecision: Sendable {
  private enum State {
    case open
    case made(Authorization)
    case awaited(CheckedContinuation<Authorization, Never>)
    /// The decision has been delivered, or the client is not waiting any more.
    case done
  }
  private let state = Mutex(State.open)
  private let origin = OriginProcess()

  /// Calls `callback` with a reference that the program owns until it decides. Returns the decision, or an
  /// authorization that waits for it.
  func ask(_ callback: (OpaquePointer) -> Void) -> Authorization {
    unsafe callback(OpaquePointer(Unmanaged.passRetained(self).toOpaque()))
    return state.withLock { state in
      guard case .made(let authorization) = state else { return .ask { await self.made } }
      state = .done
      return authorization
    }
  }

  private var made: Authorization {
    get async {
      await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
          let already: Authorization? = state.withLock { state in
            switch state {
            case .open: state = .awaited(continuation)
            case .made(let authorization):
              state = .done
              return authorization
            case .awaited, .done: return ProgramDecision.notWaiting
            }
            return nil
          }
          if let already { continuation.resume(returning: already) }
        }
      } onCancel: {
        let continuation: CheckedContinuation<Authorization, Never>? = state.withLock { state in
          defer { state = .done }
          if case .awaited(let continuation) = state { return continuation }
          return nil
        }
        continuation?.resume(returning: ProgramDecision.notWaiting)
      }
    }
  }

  private static let notWaiting = Authorization.reject(Response(status: 503, ""))

  /// Makes the decision and releases the program's reference.
  static func decide(_ handle: OpaquePointer?, _ authorization: Authorization) throws(CError) {
    guard let handle = unsafe handle else { throw .argument("the authorization is NULL") }
    let decision = unsafe Unmanaged<ProgramDecision>.fromOpaque(UnsafeRawPointer(handle))
    try unsafe decision.takeUnretainedValue().origin.checked()
    let (isMade, continuation) = unsafe decision.takeUnretainedValue().make(authorization)
    guard let isMade else { throw CError(CONFAB_ERROR_STATE, "the authorization has been decided already") }
    unsafe decision.release()
    continuation?.resume(returning: authorization)
    if !isMade { throw CError(CONFAB_ERROR_CLOSED, "the client is not waiting any more") }
  }

  /// Stores or delivers the decision. Returns whether the client is still waiting, nil if a decision had been made
  /// before; and the continuation to resume, if there is one.
  private func make(_ authorization: Authorization) -> (Bool?, CheckedContinuation<Authorization, Never>?) {
    state.withLock { state in
      switch state {
      case .open:
        state = .made(authorization)
        return (true, nil)
      case .awaited(let continuation):
        state = .done
        return (true, continuation)
      case .made: return (nil, nil)
      case .done: return (false, nil)
      }
    }
  }
}

/// Reads the arguments of a response.
func response(
  _ status: Int32, _ headers: UnsafePointer<UnsafePointer<CChar>?>?, _ body: UnsafeRawPointer?, _ length: Int
) throws(CError) -> Response {
  guard (200...599).contains(status) else { throw .argument("status must be 200 to 599, not \(status)") }
  guard (0...1 << 30).contains(length) else { throw .argument("length must be at most 2^30") }
  guard unsafe body != nil || length == 0 else { throw .argument("body is NULL") }
  let list = try unsafe strings(headers, "a header")
  guard list.count % 2 == 0 else {
    throw .argument("'\(list.last!)' has no value: headers must alternate names and values")
  }
  var pairs: [String: String] = [:]
  for index in stride(from: 0, to: list.count, by: 2) {
    guard Response.canHave(header: list[index], list[index + 1]) else {
      let header = "\(list[index]): \(list[index + 1])".withoutControls
      throw .argument("'\(header)' is not a valid header (RFC 9110, section 5)")
    }
    pairs[list[index]] = list[index + 1]
  }
  return Response(
    status: Int(status), headers: pairs, body: unsafe Array(UnsafeRawBufferPointer(start: body, count: length)))
}

@c @implementation
public func confab_accept(
  _ authorization: OpaquePointer?, _ userPointer: UnsafeMutableRawPointer?,
  _ release: (@convention(c) (UnsafeMutableRawPointer?) -> Void)?
) -> Int32 {
  result { () throws(CError) in
    try unsafe ProgramDecision.decide(
      authorization, .accept(context: ConnectionContext(userPointer: userPointer, release: release)))
  }
}

@c @implementation
public func confab_reject(
  _ authorization: OpaquePointer?, _ status: Int32, _ headers: UnsafePointer<UnsafePointer<CChar>?>?,
  _ body: UnsafeRawPointer?, _ length: Int
) -> Int32 {
  result { () throws(CError) in
    try unsafe ProgramDecision.decide(authorization, .reject(response(status, headers, body, length)))
  }
}

@c @implementation
public func confab_respond(
  _ request: OpaquePointer?, _ status: Int32, _ headers: UnsafePointer<UnsafePointer<CChar>?>?,
  _ body: UnsafeRawPointer?, _ length: Int
) -> Int32 {
  result { () throws(CError) in
    let request = try unsafe RequestView.of(request)
    try request.answer(unsafe response(status, headers, body, length))
  }
}

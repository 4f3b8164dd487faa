internal import CConfab
internal import Confab
internal import ConfabChat
internal import Synchronization

/// The target of a `confab_authorization` or `confab_admission`: a decision that the program makes, within its callback
/// or later.
@safe final class ProgramDecision: Sendable {
  /// Not a generic parameter of the class: valgrind objects to how Swift's runtime makes the types of such
  /// enumerations.
  enum Decision: Sendable {
    case authorization(Authorization)
    case admission(Admission.Decision)

    // The decisions about clients that are not waiting any more.
    static let noAuthorization = Decision.authorization(.reject(Response(status: 503, "")))
    static let noAdmission = Decision.admission(.reject(AdmissionError(.unavailable)))

    fileprivate var name: String {
      switch self {
      case .authorization: "authorization"
      case .admission: "admission"
      }
    }

    fileprivate var authorization: Authorization {
      if case .authorization(let authorization) = self { authorization } else { Decision.noAuthorization.authorization }
    }

    fileprivate var admission: Admission.Decision {
      if case .admission(let admission) = self { admission } else { Decision.noAdmission.admission }
    }
  }

  private enum State {
    case open
    case made(Decision)
    case awaited(CheckedContinuation<Decision, Never>)
    /// The decision has been delivered, or the client is not waiting any more.
    case done
  }
  private let state = Mutex(State.open)
  private let headers = Mutex<[String: String]>([:])
  private let origin = OriginProcess()
  /// The decision about a client that is not waiting any more.
  private let notWaiting: Decision

  private init(notWaiting: Decision) { self.notWaiting = notWaiting }

  /// Asks the program to authorize a client, see ``ask(_:)``.
  static func authorization(_ callback: (OpaquePointer) -> Void) -> Authorization {
    let target = ProgramDecision(notWaiting: .noAuthorization)
    return unsafe target.ask(callback)?.authorization ?? .ask { await target.made.authorization }
  }

  /// Asks the program to admit a client, see ``ask(_:)``.
  static func admission(_ callback: (OpaquePointer) -> Void) -> Admission.Decision {
    let target = ProgramDecision(notWaiting: .noAdmission)
    return unsafe target.ask(callback)?.admission ?? .ask { await target.made.admission }
  }

  /// Calls `callback` with a reference that the program owns until it decides. Returns the decision, or nil if it is
  /// not made yet.
  private func ask(_ callback: (OpaquePointer) -> Void) -> Decision? {
    unsafe callback(OpaquePointer(Unmanaged.passRetained(self).toOpaque()))
    return state.withLock { state in
      guard case .made(let decision) = state else { return nil }
      state = .done
      return decision
    }
  }

  /// The decision. Waits until it is made.
  private var made: Decision {
    get async {
      await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
          let already: Decision? = state.withLock { state in
            switch state {
            case .open: state = .awaited(continuation)
            case .made(let decision):
              state = .done
              return decision
            case .awaited, .done: return notWaiting
            }
            return nil
          }
          if let already { continuation.resume(returning: already) }
        }
      } onCancel: {
        let continuation: CheckedContinuation<Decision, Never>? = state.withLock { state in
          defer { state = .done }
          if case .awaited(let continuation) = state { return continuation }
          return nil
        }
        continuation?.resume(returning: notWaiting)
      }
    }
  }

  /// Adds a header to the response that accepts a client.
  static func add(_ name: String, _ value: String, to handle: OpaquePointer?) throws(CError) {
    let target = try unsafe of(handle, "authorization")
    let problem: String? = target.headers.withLock { headers in
      // Names of headers are case-insensitive.
      let earlier = headers.keys.first { $0.lowercased() == name.lowercased() }
      var with = headers
      if let earlier { with[earlier] = nil }
      with[name] = value
      if let problem = Authorization.problem(withHeaders: with) { return problem }
      headers = with
      return nil
    }
    if let problem { throw .argument(problem) }
  }

  /// Accepts a client, with the headers that were added.
  static func accept(_ handle: OpaquePointer?, _ context: ConnectionContext) throws(CError) {
    let headers = try unsafe of(handle, "authorization").headers.withLock { $0 }
    try unsafe decide(handle, .authorization(.accept(context: context, headers: headers)))
  }

  /// Returns the decision of a handle, borrowed from the program.
  private static func of(_ handle: OpaquePointer?, _ name: String) throws(CError) -> ProgramDecision {
    guard let handle = unsafe handle else { throw .argument("the \(name) is NULL") }
    let target = unsafe Unmanaged<ProgramDecision>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
    try target.origin.checked()
    guard target.notWaiting.name == name else { throw .argument("the pointer is not of an \(name)") }
    return target
  }

  /// Makes the decision and releases the program's reference.
  static func decide(_ handle: OpaquePointer?, _ decision: Decision) throws(CError) {
    let target = try unsafe of(handle, decision.name)
    let (isMade, continuation) = target.make(decision)
    guard let isMade else { throw CError(CONFAB_ERROR_STATE, "the \(decision.name) has been decided already") }
    unsafe Unmanaged.passUnretained(target).release()
    continuation?.resume(returning: decision)
    if !isMade { throw CError(CONFAB_ERROR_CLOSED, "the client is not waiting any more") }
  }

  /// Stores or delivers the decision. Returns whether the client is still waiting, nil if a decision had been made
  /// before; and the continuation to resume, if there is one.
  private func make(_ decision: Decision) -> (Bool?, CheckedContinuation<Decision, Never>?) {
    state.withLock { state in
      switch state {
      case .open:
        state = .made(decision)
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
    try unsafe ProgramDecision.accept(authorization, ConnectionContext(userPointer: userPointer, release: release))
  }
}

@c @implementation
public func confab_add_header(
  _ authorization: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> Int32 {
  result { () throws(CError) in
    try unsafe ProgramDecision.add(string(name, "name"), string(value, "value"), to: authorization)
  }
}

@c @implementation
public func confab_reject(
  _ authorization: OpaquePointer?, _ status: Int32, _ headers: UnsafePointer<UnsafePointer<CChar>?>?,
  _ body: UnsafeRawPointer?, _ length: Int
) -> Int32 {
  result { () throws(CError) in
    try unsafe ProgramDecision.decide(
      authorization, .authorization(.reject(response(status, headers, body, length))))
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

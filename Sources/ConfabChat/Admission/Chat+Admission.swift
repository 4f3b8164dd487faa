internal import Confab

// The admission of clients in their handshake.

extension Chat {
  /// Decides about a client in its handshake, or accepts it so that it can be admitted when its hello arrives.
  func authorize(_ request: RequestHead, _ admission: Admission, on loop: EventLoop) -> Authorization {
    let token = RequestToken(request, cookie: admission.cookie)
    let isRich = request.offersRichProtocol
    if isRich && token == nil { return .accept(handlerState: Newcomer(request, token: nil, nil)) }
    let decision = admission.decision(request, token?.text)
    if case .ask = decision {
      return .ask { [self] in answer(await decision.made(), request, admission, isRich, token, on: loop) }
    }
    return answer(decision, request, admission, isRich, token, on: loop)
  }

  private func answer(
    _ decision: Admission.Decision, _ request: RequestHead, _ admission: Admission, _ isRich: Bool,
    _ token: RequestToken?, on loop: EventLoop
  ) -> Authorization {
    do throws(AdmissionError) {
      let client = try client(decision, request, admission)
      return enter(request.path.composed, client, on: loop)
    } catch {
      // A browser sends its cookie in any case, and hides the status from the page. So the page gets an event.
      if isRich, token?.isCookie == true { return .accept(handlerState: Newcomer(request, token: nil, error)) }
      return .reject(error.response)
    }
  }

  /// Returns the client of a decision. A decision that is still to be made is an error.
  func client(
    _ decision: Admission.Decision, _ request: RequestHead, _ admission: Admission
  ) throws(AdmissionError) -> AdmittedClient {
    switch decision {
    case .admit(let identity): try AdmittedClient(identity, admission, request, options)
    case .reject(let error): throw error
    case .ask: throw AdmissionError(.unavailable)
    }
  }
}

/// A client whose handshake has been accepted, and that is still to be admitted. Any thread.
final class Newcomer: Sendable {
  let request: RequestHead
  /// The token of the request, if it has not been decided yet.
  let token: String?
  /// Why the token of the cookie was rejected.
  let error: AdmissionError?

  init(_ request: RequestHead, token: String?, _ error: AdmissionError?) {
    (self.request, self.token, self.error) = (request, token, error)
  }

  convenience init(_ request: RequestHead, cookie: String?, _ error: AdmissionError?) {
    self.init(request, token: RequestToken(request, cookie: cookie)?.text, error)
  }
}

internal import Confab

// The admission of clients in their handshake.

extension Chat {
  /// Decides about a client in its handshake. A rich client without a token in the header or the query is accepted, and
  /// is admitted when its hello arrives.
  func authorize(_ request: RequestHead, _ admission: Admission, on loop: EventLoop) -> Authorization {
    let token = RequestToken(request, admission, on: loop)
    // Browsers send the cookie with every request, and hide the status from the page. So the page gets an event
    // instead.
    if request.offersRichProtocol, token?.isCookie ?? true {
      return .accept(handlerState: UnadmittedClient(request, token))
    }
    let decision = admission.decision(request, token?.text, on: loop)
    if case .ask = decision {
      return .ask { [self] in answer(await decision.made(), request, admission, on: loop) }
    }
    return answer(decision, request, admission, on: loop)
  }

  private func answer(
    _ decision: Admission.Decision, _ request: RequestHead, _ admission: Admission, on loop: EventLoop
  ) -> Authorization {
    do throws(AdmissionError) {
      let client = try client(decision, request, admission)
      return enter(request.path.composed, client, from: request.remoteAddress, on: loop)
    } catch {
      return .reject(error.response)
    }
  }

  /// Creates the admitted client of a decision. Throws if the client is rejected.
  func client(
    _ decision: Admission.Decision, _ request: RequestHead, _ admission: Admission
  ) throws(AdmissionError) -> AdmittedClient {
    try AdmittedClient(try decision.identity, admission, request, options)
  }
}

/// A client whose handshake has been accepted, but whose admission is pending. Any thread.
final class UnadmittedClient: Sendable {
  let request: RequestHead
  /// The token of the request.
  let token: String?

  init(_ request: RequestHead, _ token: RequestToken?) { (self.request, self.token) = (request, token?.text) }
}

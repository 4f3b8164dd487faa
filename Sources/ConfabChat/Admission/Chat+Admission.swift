internal import Confab

// The admission of clients in their handshake.

extension Chat {
  /// Decides about a client in its handshake, or accepts it so that it can be admitted when its hello arrives.
  func authorize(_ request: RequestHead, _ admission: Admission, on loop: EventLoop) -> Authorization {
    let token = RequestToken(request, admission, on: loop)
    // A browser sends its cookie in any case, and hides the status from the page. So the page gets an event.
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

  /// Returns the client of a decision.
  func client(
    _ decision: Admission.Decision, _ request: RequestHead, _ admission: Admission
  ) throws(AdmissionError) -> AdmittedClient {
    try AdmittedClient(try decision.identity, admission, request, options)
  }
}

/// A client whose handshake has been accepted, and that is still to be admitted. Any thread.
final class UnadmittedClient: Sendable {
  let request: RequestHead
  /// The token of the request.
  let token: String?

  init(_ request: RequestHead, _ token: RequestToken?) { (self.request, self.token) = (request, token?.text) }
}

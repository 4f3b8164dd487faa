/// Rejection of a request, or of a connection before its first request: the reason and the response.
struct Rejection: Error {
  let reason: RejectionReason
  let detail: String
  /// The status of the response; nil means the status of ``reason``.
  var status: Int?
  var headers: [String: String] = [:]
  /// The response; nil means a response with ``detail`` as its text.
  var response: Response?

  init(
    _ reason: RejectionReason, _ detail: String, status: Int? = nil, headers: [String: String] = [:],
    response: Response? = nil
  ) {
    (self.reason, self.detail, self.status, self.headers) = (reason, detail, status, headers)
    self.response = response
  }

  /// Headers of responses to clients that may try again later.
  static let retryLater = ["Retry-After": "10"]
}

extension EventLoop {
  /// Counts and logs a rejection. Returns the response.
  func reject(_ rejection: Rejection, _ client: SocketAddress?, path: String?) -> Response {
    admission.rejections.note(
      rejection.reason, client?.endpoint ?? "a peer that has gone", path: path, rejection.detail)
    return rejection.response
      ?? Response(
        status: rejection.status ?? rejection.reason.status ?? 400, headers: rejection.headers,
        rejection.detail.printable + "\n")
  }

  /// The rejection of a client that has not sent a whole request in time.
  var lateRejection: Rejection {
    Rejection(.handshakeTimeout, "no request within \(configuration.handshakeTimeout.inSeconds) s")
  }
}

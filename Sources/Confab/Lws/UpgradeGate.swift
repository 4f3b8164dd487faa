internal import CLibwebsockets

/// Decides on a request that asks for an upgrade, in LWS_CALLBACK_HTTP_CONFIRM_UPGRADE.
///
/// The callback's `in` is not looked at: on a kept-alive connection it may point to freed memory (CVE-2025-11677).
/// Headers are taken by copy, once they are known to be there.
@safe struct UpgradeGate {
  private let wsi: OpaquePointer

  init(_ wsi: OpaquePointer) { unsafe self.wsi = wsi }

  /// Whether the client goes on to the handshake. Otherwise it has been answered.
  func admits() -> Bool {
    guard let status = refusal else { return true }
    unsafe _ = lws_return_http_status(wsi, status, nil)
    return false
  }

  /// The status to refuse with. lws itself lets any method, version and key pass (RFC 6455, section 4.2.1).
  private var refusal: UInt32? {
    guard let upgrade = unsafe wsi.header(WSI_TOKEN_UPGRADE), upgrade.lowercased() == "websocket" else {
      return HTTP_STATUS_BAD_REQUEST.rawValue
    }
    guard unsafe wsi.header(WSI_TOKEN_GET_URI) != nil else { return HTTP_STATUS_METHOD_NOT_ALLOWED.rawValue }
    guard unsafe wsi.header(WSI_TOKEN_VERSION) == "13" else { return 426 }
    guard unsafe wsi.header(WSI_TOKEN_KEY)?.utf8.count == 24 else { return HTTP_STATUS_BAD_REQUEST.rawValue }
    return nil
  }
}

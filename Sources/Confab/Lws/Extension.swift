internal import CLibwebsockets
internal import Glibc

// permessage-deflate as libwebsockets sees it: an extension that does nothing. So frames with RSV1 pass, as they are, and
// what they hold is expanded, and bounded, in Receive.swift. lws's own implementation answers some offers wrongly, keeps
// zlib's state for each connection, and ends connections without a close frame (lib/roles/ws/ext).
//
// Which offer is accepted, and how it is answered, is decided in Compression.swift.

extension EventLoop {
  /// LWS_CALLBACK_CONFIRM_EXTENSION_OKAY: whether lws is to take this offer of the extension.
  func confirmExtension(_ socket: Socket) -> Bool {
    guard let upgrade = upgrading, upgrade.socket == socket, upgrade.compression != nil else { return false }
    upgrading?.offersLeft -= 1
    return upgrade.offersLeft == 0
  }
}

/// What lws calls for the extension.
func confabExtensionCallback(
  _ context: OpaquePointer?, _ extension: UnsafePointer<lws_extension>?, _ wsi: OpaquePointer?,
  _ reason: lws_extension_callback_reasons, _ user: UnsafeMutableRawPointer?, _ data: UnsafeMutableRawPointer?,
  _ length: Int
) -> Int32 {
  if reason == LWS_EXT_CB_CONSTRUCT {
    unsafe EventLoop.of(wsi!).upgrading?.isActive = true
    // lws has no parameters to answer with.
    unsafe data!.assumingMemoryBound(to: UnsafePointer<lws_ext_options>.self).pointee = noOptions
  }
  return 0
}

/// Never freed: a list that ends at once.
nonisolated(unsafe) private let noOptions: UnsafePointer<lws_ext_options> = {
  let options = UnsafeMutablePointer<lws_ext_options>.allocate(capacity: 1)
  unsafe options.initialize(to: lws_ext_options())
  return unsafe UnsafePointer(options)
}()

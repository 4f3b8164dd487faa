internal import CLibwebsockets

// permessage-deflate as libwebsockets sees it: an extension that does nothing. Frames with RSV1 pass unchanged, and
// Receive.swift inflates their messages within the limits. lws's own implementation answers some offers wrongly, keeps
// zlib's state for each connection, and ends connections without a close frame (lib/roles/ws/ext).
//
// Compression.swift decides which offer is accepted and how it is answered.

/// The callback of the extension.
func confabExtensionCallback(
  _ context: OpaquePointer?, _ extension: UnsafePointer<lws_extension>?, _ wsi: OpaquePointer?,
  _ reason: lws_extension_callback_reasons, _ user: UnsafeMutableRawPointer?, _ data: UnsafeMutableRawPointer?,
  _ length: Int
) -> Int32 {
  if reason == LWS_EXT_CB_CONSTRUCT {
    unsafe Context.of(wsi!)?.exchange.tookOffer()
    // lws gets an empty list of parameters: LwsRequestHandler.swift adds those of the response.
    unsafe data!.assumingMemoryBound(to: UnsafePointer<lws_ext_options>.self).pointee = noOptions
  }
  return 0
}

/// An empty list. Never freed.
nonisolated(unsafe) private let noOptions: UnsafePointer<lws_ext_options> = {
  let options = UnsafeMutablePointer<lws_ext_options>.allocate(capacity: 1)
  unsafe options.initialize(to: lws_ext_options())
  return unsafe UnsafePointer(options)
}()

internal import CLibwebsockets
internal import Logging

/// The features of the loaded libwebsockets. `shim.h` checks those that the server needs at build time.
enum LwsFeatures {
  /// The version of the loaded library.
  static var version: String { unsafe String(cString: lws_get_library_version()) }

  /// Returns the configuration without what this libwebsockets, or the process, does not support.
  static func supported(_ configuration: Configuration) -> Configuration {
    if ReceiveBuffer.capacity < configuration.maxConnections {
      configuration.logger.warning(
        """
        the process may have few addresses (ulimit -v), so connections after the first \(ReceiveBuffer.capacity) take up \
        to 64 KiB more
        """)
    }
    guard configuration.offersCompression, shim_has_extensions() == 0 else { return configuration }
    configuration.logger.warning(
      """
      messages are not compressed, because libwebsockets was built without extensions; install one with \
      -DLWS_WITHOUT_EXTENSIONS=OFF, or turn compression off
      """)
    var supported = configuration
    supported.offersCompression = false
    return supported
  }
}

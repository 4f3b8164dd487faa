internal import CLibwebsockets
internal import Logging

/// The features of the loaded libwebsockets. `shim.h` checks the features that the server needs at build time.
enum LwsFeatures {
  /// The version of the loaded library.
  static var version: String { unsafe String(cString: lws_get_library_version()) }

  /// Checks that the loaded library has the structs that this code was compiled with. They differ between versions.
  static func check() throws(ConfabError) {
    let compiled = "\(LWS_LIBRARY_VERSION_MAJOR).\(LWS_LIBRARY_VERSION_MINOR)"
    guard version.utf8.starts(with: "\(compiled).".utf8) else {
      throw ConfabError(
        .libraryFailed,
        "this program was compiled for libwebsockets \(compiled), but \(version) is loaded: build it again")
    }
  }

  /// Returns the configuration, reduced to the features that this libwebsockets and the process support.
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

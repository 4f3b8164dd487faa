internal import CLibwebsockets

/// A C library that this process has loaded.
package struct LinkedLibrary {
  package let name: String
  package let version: String

  package init(name: String, version: String) { (self.name, self.version) = (name, version) }

  /// The libraries that every server uses.
  package static var all: [LinkedLibrary] {
    // "OpenSSL 3.0.17 1 Jul 2025"
    let ssl = unsafe String(cString: OpenSSL_version(0)).parts(separatedBy: " ", maxSplits: 2)
    // "4.1.6-v4.1.6", or without a commit "4.1.6-".
    let lws = unsafe String(cString: lws_get_library_version()).parts(separatedBy: "-")[0]
    return unsafe [
      LinkedLibrary(name: "libwebsockets", version: String(lws)),
      LinkedLibrary(name: String(ssl[0]), version: ssl.count > 1 ? String(ssl[1]) : ""),
      LinkedLibrary(name: "libuv", version: String(cString: uv_version_string())),
      LinkedLibrary(name: "zlib", version: String(cString: zlibVersion())),
    ]
  }
}

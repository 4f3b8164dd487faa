internal import CLibwebsockets

extension Server {
  /// Sets the process's limit of open files to `connections` plus 256, or as close to that as is possible without
  /// privileges. Each connection takes a file descriptor, and the limit is often 1024. Call it before a server is made.
  ///
  /// A limit that is much too high, as in a container, is lowered. For each event loop, libwebsockets keeps tables with
  /// an entry of 16 bytes for each file that the limit allows. Debian's build of 4.1.6 has debugging on, and searches
  /// one of them twice for each connection, half a nanosecond an entry (`sanity_assert_no_sockfd_traces` in
  /// lib/plat/unix/unix-fds.c).
  public static func setDescriptorLimit(connections: Int = Configuration().maxConnections) {
    var limit = rlimit()
    guard unsafe shim_get_descriptor_limit(&limit) == 0 else { return }
    limit.rlim_cur = min(limit.rlim_max, rlim_t(max(0, connections)) + 256)
    unsafe _ = shim_set_descriptor_limit(&limit)
  }
}

/// Returns the number of connections that the process has file descriptors for. 64 descriptors are reserved for other
/// files.
func descriptorsForConnections() -> Int {
  var limit = rlimit()
  guard unsafe shim_get_descriptor_limit(&limit) == 0 else { return .max }
  return max(1, Int(clamping: limit.rlim_cur) - 64)
}

internal import Glibc

extension Server {
  /// Raises the process's limit of open files as far as it may go without privileges, up to `count`. A server can't have
  /// more connections than files, and the soft limit is often 1024. Call it before a server is made.
  ///
  /// libwebsockets keeps tables of the limit's size: 16 bytes an entry, for each event loop.
  public static func raiseDescriptorLimit(to count: Int = 65_536) {
    var limit = rlimit()
    guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = max(limit.rlim_cur, min(limit.rlim_max, rlim_t(count)))
    unsafe _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}

/// How many connections the process has file descriptors for, some kept back for all else that it opens.
func descriptorsForConnections() -> Int {
  var limit = rlimit()
  guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return .max }
  return max(1, Int(clamping: limit.rlim_cur) - 64)
}

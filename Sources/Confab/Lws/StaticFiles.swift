internal import CLibwebsockets
internal import Glibc

extension [Mount] {
  /// Whether libwebsockets may be left to answer a request for `path` from a mount: there must be a file, in the mount's
  /// folder when all links are followed, and no part of the path may begin with a dot.
  ///
  /// lws itself follows links out of the folder, opens whatever it finds, and cuts names off at 255 bytes
  /// (lib/roles/http/server/server.c, `lws_http_serve`).
  func serve(_ path: String) -> Bool {
    guard !path.utf8.contains(0), !path.hasBytes("/."), let mount = mount(of: path) else { return false }
    let rest = path.dropFirst(mount.path == "/" ? 0 : mount.path.count)
    let name = rest.isEmpty || rest == "/" ? "/" + mount.index : String(rest)
    let file = mount.directory + "/" + name
    guard file.utf8.count < 250, let root = resolve(mount.directory), let found = resolve(file) else { return false }
    switch kind(of: found) {
    case S_IFREG: return found.isWithin(root)
    case S_IFDIR:
      guard let index = resolve(found + "/" + mount.index) else { return false }
      return kind(of: index) == S_IFREG && index.isWithin(root)
    default: return false
    }
  }

  /// As lws chooses: the longest that fits (`lws_find_mount`).
  private func mount(of path: String) -> Mount? {
    filter { path == $0.path || $0.path == "/" || path.hasPrefix($0.path + "/") }.max { $0.path.count < $1.path.count }
  }
}

extension String {
  fileprivate func isWithin(_ root: String) -> Bool { hasPrefix(root.hasSuffix("/") ? root : root + "/") }
}

/// The path with all links followed; nil when there is nothing.
private func resolve(_ path: String) -> String? {
  guard let resolved = unsafe realpath(path, nil) else { return nil }
  defer { unsafe free(resolved) }
  return unsafe String(cString: resolved)
}

private func kind(of path: String) -> mode_t {
  var status = stat()
  return unsafe stat(path, &status) == 0 ? status.st_mode & S_IFMT : 0
}

/// The result of a search for a path.
enum Found {
  case file(OpenFile)
  /// A folder. Clients must ask for it with a slash at its end, otherwise relative links in its page lead elsewhere.
  case folder
  case nothing
}

extension [Mount] {
  /// Searches for the file at `path`. The file must be in the mount's folder after all links are followed. No part of
  /// the path may begin with a dot.
  func find(_ path: String) -> Found {
    guard let (root, file) = locate(path), let found = resolvedPath(file), found.isWithin(root) || found == root else {
      return .nothing
    }
    switch FileStatus(at: found)?.kind {
    case .regular: return OpenFile(found).map { .file($0) } ?? .nothing
    case .folder: return hasIndex(found, root, path) ? .folder : .nothing
    case .other, nil: return .nothing
    }
  }

  private func hasIndex(_ folder: String, _ root: String, _ path: String) -> Bool {
    guard path.utf8.last != UInt8(ascii: "/"), let mount = mount(of: path) else { return false }
    guard let index = resolvedPath(folder + "/" + mount.index) else { return false }
    return FileStatus(at: index)?.kind == .regular && index.isWithin(root)
  }

  /// Returns the folder of the mount, and the path of the file in it.
  private func locate(_ path: String) -> (root: String, file: String)? {
    guard !path.utf8.contains(0), !path.hasBytes("/."), let mount = mount(of: path) else { return nil }
    guard let root = resolvedPath(mount.directory) else { return nil }
    let rest = Substring(path.utf8.dropFirst(mount.path == "/" ? 0 : mount.path.utf8.count))
    return (root, "\(root)\(rest)\(rest.utf8.last == UInt8(ascii: "/") ? mount.index : "")")
  }

  /// Chooses as lws does: the longest mount path that fits (`lws_find_mount`).
  private func mount(of path: String) -> Mount? {
    let bytes = [UInt8](path.utf8)
    return filter { mount in
      let name = mount.path.utf8
      guard name.count > 1 else { return true }
      return bytes.starts(with: name) && (bytes.count == name.count || bytes[name.count] == UInt8(ascii: "/"))
    }.max { $0.path.utf8.count < $1.path.utf8.count }
  }
}

extension String {
  fileprivate func isWithin(_ root: String) -> Bool {
    utf8.starts(with: root.utf8)
      && (root.utf8.last == UInt8(ascii: "/") || utf8.dropFirst(root.utf8.count).first == UInt8(ascii: "/"))
  }
}

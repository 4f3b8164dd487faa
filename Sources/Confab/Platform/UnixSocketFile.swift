internal import CLibwebsockets

/// The file of a listening Unix domain socket.
struct UnixSocketFile: Sendable {
  /// Programs of the same user and group may connect.
  static let mode: mode_t = 0o660

  private let path: String
  private let identity: FileIdentity

  /// The file at `path`; nil if it does not exist.
  init?(_ path: String) {
    guard let identity = FileIdentity(path) else { return nil }
    (self.path, self.identity) = (path, identity)
  }

  /// Removes the file, unless another file has replaced it at its path.
  func remove() {
    if FileIdentity(path) == identity { unsafe _ = unlink(path) }
  }

  /// Removes the socket of a server that has ended without removing it. Throws if a program listens on it, or if the
  /// file is not a socket.
  static func removeStale(_ path: String, _ address: SocketAddress) throws(ConfabError) {
    guard let found = FileIdentity(path) else { return }
    guard found.isSocket else { throw ConfabError(.cannotListen, "'\(path)' exists and is not a socket") }
    if let connection = address.connect(within: .seconds(1)) {
      connection.close()
      throw ConfabError(.addressInUse, "another program listens on \(address); stop it, or choose another path")
    }
    guard shim_errno() == ECONNREFUSED else {
      throw ConfabError(.addressInUse, "'\(path)' cannot be replaced: \(lastSystemMessage() ?? "unknown")")
    }
    unsafe _ = unlink(path)
  }

  /// The identity of a file, independent of its path.
  private struct FileIdentity: Equatable {
    let isSocket: Bool
    private let device: UInt64
    private let number: UInt64

    init?(_ path: String) {
      var status = stat()
      guard unsafe lstat(path, &status) == 0 else { return nil }
      isSocket = UInt32(status.st_mode) & UInt32(S_IFMT) == UInt32(S_IFSOCK)
      (device, number) = (UInt64(status.st_dev), UInt64(status.st_ino))
    }
  }
}

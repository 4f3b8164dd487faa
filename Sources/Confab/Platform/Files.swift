internal import CLibwebsockets

/// The status of a file.
package struct FileStatus {
  enum Kind { case regular, folder, other }
  let kind: Kind
  let isSocket: Bool
  let size: Int
  let modified: (seconds: Int, nanoseconds: Int)
  package let inode: Int
  /// Time of the last change of the content or the status, in nanoseconds since 1970. Programs cannot set it.
  package let changed: Int
  /// Numbers that change with the content of a regular file, even if it keeps size and mtime.
  var version: [Int] { [inode, size, modified.seconds, modified.nanoseconds, changed] }

  fileprivate init(_ status: stat) {
    var status = status
    let kind = unsafe shim_kind(&status)
    self.kind = kind == shim_FILE ? .regular : kind == shim_FOLDER ? .folder : .other
    isSocket = kind == shim_SOCKET
    size = Int(status.st_size)
    let (modified, changed) = unsafe (shim_modified(&status), shim_changed(&status))
    self.modified = (modified.tv_sec, modified.tv_nsec)
    inode = Int(truncatingIfNeeded: status.st_ino & .init(Int.max))
    self.changed = changed.tv_sec * 1_000_000_000 + changed.tv_nsec
  }

  /// The status of an open file; nil if it cannot be read.
  package init?(of descriptor: Int32) {
    var status = stat()
    guard descriptor >= 0, unsafe fstat(descriptor, &status) == 0 else { return nil }
    self.init(status)
  }

  /// The status of a file, or of the file that a link leads to; nil if it does not exist.
  package init?(at path: String) {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { return nil }
    self.init(status)
  }
}

/// Opens a file for reading, without following a link or waiting for the writer of a FIFO. Returns -1 on failure.
func openForReading(_ path: String) -> Int32 {
  unsafe shim_open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0)
}

func closeFile(_ descriptor: Int32) { _ = CLibwebsockets.close(descriptor) }

/// Returns the absolute path without symbolic links; nil if nothing exists there.
func resolvedPath(_ path: String) -> String? {
  guard let resolved = unsafe realpath(path, nil) else { return nil }
  defer { unsafe free(resolved) }
  return unsafe String(cString: resolved)
}

func isDirectory(_ path: String) -> Bool { FileStatus(at: path)?.kind == .folder }

/// Returns why a file cannot be written, or created; nil if it can.
package func reasonNotToWrite(_ file: String) -> String? {
  if isDirectory(file) { return systemMessage(EISDIR) }
  if unsafe access(file, F_OK) == 0 { return unsafe access(file, W_OK) == 0 ? nil : systemMessage(shim_errno()) }
  let folder = file.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(file[...$0]) } ?? "."
  return unsafe access(folder, W_OK | X_OK) == 0 ? nil : systemMessage(shim_errno())
}

/// Returns why a file cannot be read; nil if it can.
package func reasonNotToRead(_ file: String) -> String? {
  guard unsafe access(file, R_OK) == 0 else { return systemMessage(shim_errno()) }
  return isDirectory(file) ? systemMessage(EISDIR) : nil
}

/// Returns the system's description of an error number; nil for 0.
package func systemMessage(_ number: Int32) -> String? {
  number == 0 ? nil : unsafe String(cString: strerror(number))
}

/// A file that is read and overwritten in place. The owner closes it.
package struct OverwrittenFile {
  private let descriptor: Int32

  /// Opens a file. A new file is accessible only to its owner; an existing one keeps its permissions. Nil on failure;
  /// ``lastSystemMessage()`` has the reason.
  package init?(_ path: String) {
    descriptor = unsafe shim_open(path, O_RDWR | O_CREAT, 0o600)
    if descriptor < 0 { return nil }
  }

  package func close() { closeFile(descriptor) }

  package var status: FileStatus? { FileStatus(of: descriptor) }

  /// Reads `count` bytes from the beginning. Nil if there are fewer.
  package func read(_ count: Int) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    return unsafe pread(descriptor, &bytes, count, 0) == count ? bytes : nil
  }

  /// Overwrites the beginning. If `isLasting` is true, waits until the bytes are on the disk. Returns false on failure.
  package func write(_ bytes: [UInt8], isLasting: Bool) -> Bool {
    unsafe pwrite(descriptor, bytes, bytes.count, 0) == bytes.count && (!isLasting || shim_synchronize(descriptor) == 0)
  }
}

/// Returns the system's description of why the last call on this thread failed.
package func lastSystemMessage() -> String? { systemMessage(shim_errno()) }

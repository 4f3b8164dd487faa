internal import CLibwebsockets
internal import Glibc

/// The status of a file.
struct FileStatus {
  enum Kind { case regular, folder, other }
  let kind: Kind
  let size: Int
  let modified: (seconds: Int, nanoseconds: Int)
  /// Numbers that change with the content of a regular file. Programs cannot set the ctime, so they show a change that
  /// keeps size and mtime, too.
  let version: [Int]

  fileprivate init(_ status: stat) {
    kind =
      switch status.st_mode & S_IFMT {
      case S_IFREG: .regular
      case S_IFDIR: .folder
      default: .other
      }
    size = Int(status.st_size)
    modified = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
    version = [
      Int(status.st_ino), size, modified.seconds, modified.nanoseconds, status.st_ctim.tv_sec, status.st_ctim.tv_nsec,
    ]
  }

  /// The status of an open file; nil if it cannot be read.
  init?(of descriptor: Int32) {
    var status = stat()
    guard descriptor >= 0, unsafe fstat(descriptor, &status) == 0 else { return nil }
    self.init(status)
  }

  /// The status of a file, or of the one that a link leads to; nil if there is none.
  init?(at path: String) {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { return nil }
    self.init(status)
  }
}

/// Opens a file for reading, without following a link or waiting for the writer of a FIFO. Returns -1 on failure.
func openForReading(_ path: String) -> Int32 {
  unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW)
}

func closeFile(_ descriptor: Int32) { _ = Glibc.close(descriptor) }

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
  if unsafe access(file, F_OK) == 0 { return unsafe access(file, W_OK) == 0 ? nil : systemMessage(errno) }
  let folder = file.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(file[...$0]) } ?? "."
  return unsafe access(folder, W_OK | X_OK) == 0 ? nil : systemMessage(errno)
}

/// Returns why a file cannot be read; nil if it can.
package func reasonNotToRead(_ file: String) -> String? {
  guard unsafe access(file, R_OK) == 0 else { return systemMessage(errno) }
  return isDirectory(file) ? systemMessage(EISDIR) : nil
}

/// Returns the system's description of an error number; nil for 0.
package func systemMessage(_ number: Int32) -> String? {
  number == 0 ? nil : unsafe String(cString: strerror(number))
}

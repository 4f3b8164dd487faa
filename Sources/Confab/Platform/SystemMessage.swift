internal import Glibc

/// Returns the system's description of an error number; nil for 0.
package func systemMessage(_ number: Int32) -> String? {
  number == 0 ? nil : unsafe String(cString: strerror(number))
}

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

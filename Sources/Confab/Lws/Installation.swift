internal import CLibwebsockets
internal import Glibc

/// The files that come with the program, or with the library that this is a part of.
package enum Installation {
  /// A folder that is there, found by one of `paths` from the folder of the program, or else from the library's; nil if
  /// there is none.
  package static func folder(_ paths: String...) -> String? {
    for file in [program, library] {
      guard let parent = file?.parts(separatedBy: "/").dropLast() else { continue }
      for path in paths {
        let folder = "\(parent.joined(separator: "/"))/\(path)"
        if isDirectory(folder) { return resolved(folder) }
      }
    }
    return nil
  }

  private static var program: String? { resolved("/proc/self/exe") }

  private static var library: String? {
    var image = unsafe shim_image()
    guard unsafe shim_dladdr(#dsohandle, &image) != 0, let file = unsafe image.file else { return nil }
    return resolved(unsafe String(cString: file))
  }

  /// Without links, and absolute.
  private static func resolved(_ path: String) -> String? {
    guard let resolved = unsafe realpath(path, nil) else { return nil }
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
  }
}

func isDirectory(_ path: String) -> Bool {
  var status = stat()
  return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
}

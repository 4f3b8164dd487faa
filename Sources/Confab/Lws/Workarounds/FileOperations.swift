internal import CLibwebsockets

/// A file that a mount is about to send for a request that lws has parsed. lws opens it within the same call.
struct LwsFile {
  let socket: Socket
  let file: OpenFile
  let isNotModified: Bool

  /// The ETag header that lws writes for the file (lib/roles/http/server/server.c, `lws_http_serve`). It has no quotes.
  var tagOfLws: String {
    func padded(_ number: UInt64) -> String {
      let digits = String(number, radix: 16, uppercase: true)
      return String(repeating: "0", count: max(0, 8 - digits.utf8.count)) + digits
    }
    let time = UInt64(UInt32(truncatingIfNeeded: file.validators.modified.seconds))
    return "etag: \(padded(UInt64(file.size)))\(padded(time))\r\n"
  }
}

/// The file operations of lws's mounts. They are lws's own, except that opening returns a file that is open already,
/// and that a read of no bytes fails. Otherwise lws would retry for ever when a file has become shorter.
@safe final class FileOperations {
  private let table: UnsafeMutablePointer<shim_file_operations>

  /// `owner` must outlive the operations.
  init(of context: OpaquePointer, owner: Context) {
    var operations = unsafe lws_get_fops(context).pointee
    unsafe operations.next = nil
    unsafe operations.read = { file, amount, buffer, length in
      let count = unsafe read(file!.pointee.fd, buffer, Int(length))
      unsafe amount!.pointee = lws_filepos_t(max(0, count))
      if count <= 0 && length > 0 { return -1 }
      unsafe file!.pointee.pos += lws_filepos_t(count)
      return 0
    }
    unsafe table = .allocate(capacity: 1)
    unsafe table.initialize(
      to: shim_file_operations(operations: operations, owner: Unmanaged.passUnretained(owner).toOpaque()) {
        table, name, flags in
        let context = unsafe Unmanaged<Context>.fromOpaque(table!.pointee.owner).takeUnretainedValue()
        guard let file = context.exchange.fileToOpen else { return nil }
        // A folder: lws comes again with the name of its index, and takes the type from that.
        let end = unsafe name!.advanced(by: max(1, strlen(name!)) - 1).pointee
        let isFolder = end == CChar(UInt8(ascii: "/"))
        let descriptor = isFolder ? openForReading("/") : file.take()
        return unsafe makeFile(
          descriptor, UnsafeRawPointer(table!).assumingMemoryBound(to: lws_plat_file_ops.self), flags)
      })
    unsafe shim_set_open(table)
    unsafe lws_set_fops(context, UnsafeRawPointer(table).assumingMemoryBound(to: lws_plat_file_ops.self))
  }

  deinit { unsafe table.deallocate() }
}

/// Returns lws's object for an open file, which lws's own operation frees.
private func makeFile(
  _ descriptor: Int32, _ operations: UnsafePointer<lws_plat_file_ops>, _ flags: lws_fop_flags_t
) -> lws_fop_fd_t? {
  guard let status = FileStatus(of: descriptor) else { return nil }
  let memory = unsafe malloc(MemoryLayout<lws_fop_fd>.size)!.bindMemory(to: lws_fop_fd.self, capacity: 1)
  unsafe memory.initialize(
    to: lws_fop_fd(
      fd: descriptor, fops: operations, filesystem_priv: nil, pos: 0, len: lws_filepos_t(status.size), flags: flags,
      mod_time: 0))
  return unsafe memory
}

internal import CLibwebsockets

package enum ProcessEnd {
  /// Ends the process without waiting for anything, exit handlers included. Any thread.
  package static func now(status: Int32) -> Never { _exit(status) }
}

/// The service manager that has started the process: systemd, or a program that uses its protocols, sd_notify(3) and
/// sd_listen_fds(3). Without one, the functions do nothing, and the values are empty.
package enum ServiceManager {
  /// The states that can be reported.
  package enum State {
    case ready, reloading, stopping, alive

    fileprivate var text: String {
      switch self {
      case .ready: "READY=1"
      case .reloading: "RELOADING=1\nMONOTONIC_USEC=\(uv_hrtime() / 1000)"
      case .stopping: "STOPPING=1"
      case .alive: "WATCHDOG=1"
      }
    }
  }

  /// Reports a state, if the service manager has given an address for that.
  package static func tell(_ state: State) {
    guard let name = variable("NOTIFY_SOCKET"), var address = socketAddress(name) else { return }
    let descriptor = shim_socket(AF_UNIX, Int32(shim_DATAGRAM), 1)
    guard descriptor >= 0 else { return }
    defer { closeFile(descriptor) }
    let (text, length) = (Array(state.text.utf8), address.length)
    unsafe withUnsafePointer(to: &address.value) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        _ = unsafe shim_send_to(descriptor, text, text.count, address, length)
      }
    }
  }

  /// Returns the address of a path, or of an abstract name, which begins with `@` (unix(7)).
  private static func socketAddress(_ name: String) -> (value: sockaddr_un, length: socklen_t)? {
    var address = sockaddr_un()
    let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path)!
    var bytes = Array(name.utf8)
    guard bytes.count <= MemoryLayout<sockaddr_un>.size - offset else { return nil }
    if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 }
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address) {
      unsafe UnsafeMutableRawBufferPointer(rebasing: $0[offset...]).copyBytes(from: bytes)
    }
    return (address, socklen_t(offset + bytes.count))
  }

  /// Watchdog timeout. If ``State/alive`` is not reported for this long, the service manager considers the process
  /// dead. Nil without a watchdog.
  package static var watchdogTime: Duration? {
    guard isMeant("WATCHDOG_PID"), let time = variable("WATCHDOG_USEC").flatMap({ Int64($0) }), time > 0 else {
      return nil
    }
    return .microseconds(time)
  }

  /// The listening sockets that the service manager has passed: descriptors from 3 on.
  package static var listeningSockets: [Int32] {
    guard variable("LISTEN_PID") != nil, isMeant("LISTEN_PID"),
      let count = variable("LISTEN_FDS").flatMap({ Int32($0) }), count > 0
    else { return [] }
    return Array(3..<3 + count)
  }

  /// Returns whether a variable with a process id, if it is set, has the id of this process. Child processes inherit
  /// it.
  private static func isMeant(_ name: String) -> Bool { variable(name).map { $0 == "\(getpid())" } ?? true }

  /// Returns a variable of the environment; nil if it is not set, or empty.
  private static func variable(_ name: String) -> String? {
    guard let value = unsafe getenv(name), unsafe value.pointee != 0 else { return nil }
    return unsafe String(cString: value)
  }
}

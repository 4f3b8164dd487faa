import CSimulation
import Glibc
import Logging

/// The shared parts of all worlds: a listening socket, which each loop gets a copy of, a logger, and C strings.
enum Listening {
  nonisolated(unsafe) private static var socket: Int32 = {
    let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
    let isBound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    precondition(isBound == 0 && listen(socket, 1) == 0)
    return socket
  }()

  static func descriptor() -> Int32 { dup(socket) }

  static let logger = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }

  /// Returns a C string that is never freed.
  static func text(_ text: String) -> UnsafePointer<CChar> {
    if let known = texts[text] { return known }
    let copy = UnsafePointer<CChar>(strdup(text)!)
    texts[text] = copy
    return copy
  }
  nonisolated(unsafe) private static var texts: [String: UnsafePointer<CChar>] = [:]
}

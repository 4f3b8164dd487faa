import Foundation
import Glibc

/// A WebSocket client for tests, on a plain blocking socket. It shares no code with the library. Every wait is bounded.
///
/// Waiting blocks the thread: see ``blocking(_:)``.
package final class RawClient: @unchecked Sendable {
  // @unchecked: one task at a time uses it.

  package struct Failure: Error, CustomStringConvertible {
    package var description: String

    package init(description: String) { self.description = description }
  }
  package struct ReceivedFrame: Equatable {
    package var opcode: UInt8
    package var isFinal: Bool
    package var payload: [UInt8]

    package init(opcode: UInt8, isFinal: Bool, payload: [UInt8]) {
      (self.opcode, self.isFinal, self.payload) = (opcode, isFinal, payload)
    }

    package static func text(_ text: String) -> ReceivedFrame {
      .init(opcode: 1, isFinal: true, payload: Array(text.utf8))
    }
    package static func close(_ code: Int, _ reason: String = "") -> ReceivedFrame {
      .init(opcode: 8, isFinal: true, payload: [UInt8(code >> 8), UInt8(code & 255)] + Array(reason.utf8))
    }
  }

  /// The headers of an opening handshake.
  package static let handshake = [
    "Host: localhost", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
  ]

  package let descriptor: Int32
  package private(set) var response = ""
  private var buffer: [UInt8] = []
  private var isOpen = true

  /// Connects and, unless `request` is given, upgrades.
  package init(
    port: Int, path: String = "/", headers: [String] = [], receiveBuffer: Int32? = nil, request: String? = nil,
    awaitsHead: Bool = true
  ) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    if var size = receiveBuffer {
      unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4)
    }
    var timeout = timeval(tv_sec: 10, tv_usec: 0)
    unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
    let failure = unsafe withUnsafePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard failure == 0 else { throw Failure(description: "cannot connect: \(errno)") }
    let lines = ["GET \(path) HTTP/1.1"] + RawClient.handshake + headers
    try write(Array((request ?? lines.joined(separator: "\r\n") + "\r\n\r\n").utf8))
    if awaitsHead { try readHead() }
    if request == nil && !response.hasPrefix("HTTP/1.1 101 ") { throw Failure(description: "rejected: \(response)") }
  }

  deinit { hangUp() }

  /// Reads the response's header section.
  package func readHead() throws {
    while let byte = try next() {
      response.unicodeScalars.append(Unicode.Scalar(byte))
      if response.hasSuffix("\r\n\r\n") { break }
    }
  }

  /// Returns everything after the header section until the server ends the connection.
  package func rest() throws -> String {
    var bytes: [UInt8] = []
    while let byte = try next() { bytes.append(byte) }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Returns the next `count` bytes.
  package func read(_ count: Int) throws -> String {
    String(decoding: try (0..<count).map { _ in try require() }, as: UTF8.self)
  }

  /// Whether unread data has arrived.
  package var hasSomething: Bool {
    var byte: UInt8 = 0
    let count = unsafe recv(descriptor, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT))
    return position < buffer.count || count >= 0
  }

  /// Ends the TCP connection, with a reset if `reset` is true.
  package func hangUp(reset: Bool = false) {
    guard isOpen else { return }
    isOpen = false
    if reset {
      var linger = linger(l_onoff: 1, l_linger: 0)
      unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
    }
    close(descriptor)
  }

  package func send(_ opcode: UInt8, _ payload: [UInt8], isFinal: Bool = true) throws {
    try write(RawClient.frame(opcode, payload, isFinal: isFinal))
  }

  package func send(_ text: String) throws { try send(1, Array(text.utf8)) }

  package static func frame(_ opcode: UInt8, _ payload: [UInt8], isFinal: Bool = true) -> [UInt8] {
    var bytes: [UInt8] = [(isFinal ? 0x80 : 0) | opcode]
    switch payload.count {
    case 0...125: bytes.append(0x80 | UInt8(payload.count))
    case 126...65_535: bytes += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
    default: bytes += [0x80 | 127] + (0..<8).map { UInt8((payload.count >> (56 - 8 * $0)) & 255) }
    }
    let mask: [UInt8] = [0x12, 0x34, 0x56, 0x78]
    bytes += mask
    bytes += payload.enumerated().map { $1 ^ mask[$0 & 3] }
    return bytes
  }

  package func write(_ bytes: [UInt8]) throws {
    var sent = 0
    while sent < bytes.count {
      let count = unsafe bytes[sent...].withUnsafeBytes {
        unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw Failure(description: "cannot send: \(errno)") }
      sent += count
    }
  }

  /// Writes as much as the socket takes. Returns 0 if it takes nothing for half a second.
  package func writeSome(_ bytes: ArraySlice<UInt8>) -> Int {
    var state = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    var ready: Int32
    repeat { ready = unsafe poll(&state, 1, 500) } while ready < 0 && errno == EINTR
    guard ready == 1 else { return 0 }
    return unsafe bytes.withUnsafeBytes {
      unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
    }
  }

  /// Returns the next frame, nil when the server has ended the TCP connection.
  package func receive() throws -> ReceivedFrame? {
    guard let first = try next(), let second = try next() else { return nil }
    var length = Int(second & 127)
    if length == 126 { length = try Int(require()) << 8 | Int(require()) }
    if length == 127 { length = try (0..<8).reduce(0) { sum, _ in try sum << 8 | Int(require()) } }
    return ReceivedFrame(opcode: first & 15, isFinal: first & 0x80 != 0, payload: try require(length))
  }

  /// Returns the next message, with its fragments joined.
  package func receiveMessage() throws -> [UInt8] {
    var payload: [UInt8] = []
    while let frame = try receive() {
      payload += frame.payload
      if frame.isFinal { return payload }
    }
    throw Failure(description: "the connection has ended")
  }

  private func require() throws -> UInt8 {
    guard let byte = try next() else { throw Failure(description: "the connection ends within a frame") }
    return byte
  }

  /// Reads as much at a time as has arrived: with a sanitizer, single bytes take seconds for a megabyte.
  private func require(_ count: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      bytes.append(try require())
      let more = min(count - bytes.count, buffer.count - position)
      bytes += buffer[position..<position + more]
      position += more
    }
    return bytes
  }

  private var position = 0
  private func next() throws -> UInt8? {
    if position == buffer.count {
      buffer = [UInt8](repeating: 0, count: 65_536)
      position = 0
      // A socket with a timeout is not resumed after a signal (signal(7)).
      var count: Int
      repeat { count = unsafe recv(descriptor, &buffer, buffer.count, 0) } while count < 0 && errno == EINTR
      if count < 0 && errno == EAGAIN { throw Failure(description: "nothing has come for 10 s") }
      buffer.removeLast(buffer.count - max(count, 0))
      if count <= 0 { return nil }
    }
    defer { position += 1 }
    return buffer[position]
  }
}

/// Runs `body` on a new thread. Use it for code that blocks until a task has done something: tasks have only as many
/// threads as there are cores.
package func blocking<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
  try await withCheckedThrowingContinuation { continuation in
    Thread.detachNewThread { continuation.resume(with: Swift.Result(catching: body)) }
  }
}

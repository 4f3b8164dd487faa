package import Confab
internal import CNats

/// A connection to NATS. libnats reconnects automatically, possibly to another server of the cluster.
///
/// ``publish(_:reply:headers:bytes:)`` may block on the network, so event loops must not call it.
@safe
final class NatsConnection: Sendable {
  enum Event: Sendable {
    /// The connection is back, to a server that accepts payloads of up to `maxPayload` bytes. The initializer reports
    /// the first connection by returning.
    case connected(maxPayload: Int)
    case disconnected
    /// libnats has given up the connection, because the server has rejected it twice.
    case closed
    /// An error other than a lost connection.
    case failed(String)
    case message(NatsMessage)
  }

  /// Context of libnats's callbacks. It is retained once for the connection, until its closed callback, and once for
  /// each subscription, until its completion.
  private final class Receiver: Sendable {
    let take: @Sendable (Event) -> Void

    init(_ take: @escaping @Sendable (Event) -> Void) { self.take = take }

    static func of(_ closure: UnsafeMutableRawPointer?) -> Receiver? {
      unsafe closure.map { unsafe Unmanaged<Receiver>.fromOpaque($0).takeUnretainedValue() }
    }
  }

  private nonisolated(unsafe) let connection: OpaquePointer
  private let receiver: Receiver

  /// Connects, and blocks until the connection is established.
  ///
  /// - Parameter take: called on threads of libnats, one for messages and another for all other events.
  init(_ server: JetStreamOptions, take: @escaping @Sendable (Event) -> Void) throws(NatsError) {
    receiver = Receiver(take)
    let options = try unsafe NatsConnection.options(server)
    defer { unsafe natsOptions_Destroy(options) }
    // Released by the closed callback, which is libnats's last one for the connection.
    let closure = unsafe Unmanaged.passRetained(receiver).toOpaque()
    unsafe natsOptions_SetReconnectedCB(
      options, { unsafe Receiver.of($1)?.take(.connected(maxPayload: Int(natsConnection_GetMaxPayload($0)))) }, closure)
    unsafe natsOptions_SetDisconnectedCB(options, { unsafe Receiver.of($1)?.take(.disconnected) }, closure)
    unsafe natsOptions_SetErrorHandler(
      options,
      { _, _, status, closure in
        let text = unsafe natsStatus_GetText(status).map { unsafe String(cString: $0) } ?? ""
        unsafe Receiver.of(closure)?.take(.failed(text))
      }, closure)
    unsafe natsOptions_SetClosedCB(
      options,
      { _, closure in
        guard let closure = unsafe closure else { return }
        unsafe Unmanaged<Receiver>.fromOpaque(closure).takeRetainedValue().take(.closed)
      }, closure)
    var connection: OpaquePointer?
    let status = unsafe natsConnection_Connect(&connection, options)
    guard let connection = unsafe connection, status == NATS_OK else {
      unsafe Unmanaged<Receiver>.fromOpaque(closure).release()
      throw NatsError(status)
    }
    unsafe self.connection = connection
  }

  /// Maximum size of a message with its headers, in bytes, that the server accepts.
  var maxPayload: Int { unsafe Int(natsConnection_GetMaxPayload(connection)) }

  /// Checks the options as far as possible without a server.
  static func check(_ server: JetStreamOptions) throws(NatsError) { unsafe natsOptions_Destroy(try options(server)) }

  deinit { unsafe natsConnection_Destroy(connection) }

  /// A subscription. Messages of its subject arrive as events while it exists.
  @safe
  final class Subscription: Sendable {
    private nonisolated(unsafe) let subscription: OpaquePointer

    fileprivate init(_ subscription: OpaquePointer) { unsafe self.subscription = subscription }

    deinit { unsafe natsSubscription_Destroy(subscription) }
  }

  func subscribe(_ subject: String) throws(NatsError) -> Subscription {
    // Released by libnats's last callback.
    let closure = unsafe Unmanaged.passRetained(receiver).toOpaque()
    var subscription: OpaquePointer?
    let status = unsafe natsConnection_Subscribe(
      &subscription, connection, subject,
      { _, _, message, closure in
        defer { unsafe natsMsg_Destroy(message) }
        if let message = unsafe message { unsafe Receiver.of(closure)?.take(.message(NatsMessage(message))) }
      }, closure)
    guard status == NATS_OK, let subscription = unsafe subscription else {
      unsafe Unmanaged<Receiver>.fromOpaque(closure).release()
      throw NatsError(status)
    }
    unsafe natsSubscription_SetPendingLimits(subscription, -1, -1)
    unsafe natsSubscription_SetOnCompleteCB(
      subscription,
      { closure in if let closure = unsafe closure { unsafe Unmanaged<Receiver>.fromOpaque(closure).release() } },
      closure)
    return unsafe Subscription(subscription)
  }

  /// Sends a message, or adds it to libnats's buffer.
  func publish(
    _ subject: String, reply: String? = nil, headers: [(String, String)] = [], bytes: [UInt8] = []
  ) throws(NatsError) {
    var message: OpaquePointer?
    var status = unsafe bytes.withUnsafeBytes { bytes in
      unsafe natsMsg_Create(
        &message, subject, reply, bytes.assumingMemoryBound(to: CChar.self).baseAddress, Int32(bytes.count))
    }
    defer { unsafe natsMsg_Destroy(message) }
    for (key, value) in headers where status == NATS_OK { unsafe status = natsMsgHeader_Set(message, key, value) }
    if status == NATS_OK { unsafe status = natsConnection_PublishMsg(connection, message) }
    if status != NATS_OK { throw NatsError(status) }
  }

  private static func options(_ server: JetStreamOptions) throws(NatsError) -> OpaquePointer {
    var created: OpaquePointer?
    var status = unsafe natsOptions_Create(&created)
    guard let options = unsafe created else { throw NatsError(status) }
    func set(_ function: (OpaquePointer) -> natsStatus) {
      if status == NATS_OK { unsafe status = function(options) }
    }
    let urls = unsafe server.urls.map { unsafe CMemory.copy($0) }
    defer { unsafe urls.forEach { unsafe CMemory.free($0) } }
    unsafe set { options in
      var pointers = unsafe urls.map { unsafe UnsafePointer<CChar>?($0) }
      return unsafe natsOptions_SetServers(options, &pointers, Int32(pointers.count))
    }
    unsafe set { unsafe natsOptions_SetName($0, "confab") }
    if server.isSecure { unsafe set { unsafe natsOptions_SetSecure($0, true) } }
    if let file = server.caFile { unsafe set { unsafe natsOptions_LoadCATrustedCertificates($0, file) } }
    if let file = server.certificateFile, let key = server.keyFile {
      unsafe set { unsafe natsOptions_LoadCertificatesChain($0, file, key) }
    }
    if let file = server.credentialsFile {
      unsafe set { unsafe natsOptions_SetUserCredentialsFromFiles($0, file, nil) }
    }
    // Retries without a limit, with jitter so that clients of a restarted server do not reconnect at once.
    unsafe set { unsafe natsOptions_SetMaxReconnect($0, -1) }
    unsafe set { unsafe natsOptions_SetReconnectWait($0, 250) }
    unsafe set { unsafe natsOptions_SetReconnectJitter($0, 250, 500) }
    // Drops a server that does not respond. Times are in milliseconds.
    unsafe set { unsafe natsOptions_SetTimeout($0, 3000) }
    unsafe set { unsafe natsOptions_SetWriteDeadline($0, 5000) }
    unsafe set { unsafe natsOptions_SetPingInterval($0, 5000) }
    unsafe set { unsafe natsOptions_SetMaxPingsOut($0, 2) }
    // Delivers messages of all subscriptions on one thread.
    unsafe set { unsafe natsOptions_UseGlobalMessageDelivery($0, true) }
    if status != NATS_OK {
      let failure = NatsError(status)
      unsafe natsOptions_Destroy(options)
      throw failure
    }
    return unsafe options
  }
}

extension LinkedLibrary {
  package static var nats: LinkedLibrary {
    LinkedLibrary(name: "libnats", version: unsafe String(cString: nats_GetVersion()))
  }
}

/// Error of a libnats call, with its reason.
struct NatsError: Error, CustomStringConvertible {
  let status: natsStatus
  let description: String

  /// Whether the server rejects the message for its size.
  var isTooLarge: Bool { status == NATS_MAX_PAYLOAD }

  /// - Parameter status: result of the previous libnats call on this thread.
  fileprivate init(_ status: natsStatus) {
    self.status = status
    let text = unsafe nats_GetLastError(nil) ?? natsStatus_GetText(status)
    let words = unsafe text.map { unsafe String(cString: $0) } ?? "error \(status.rawValue) of libnats"
    // "(conn.c:1905): Authorization Violation" begins with a position in libnats's source.
    let parts = words.parts(separatedBy: " ", maxSplits: 1)
    let hasLocation = parts.count == 2 && parts[0].begins(with: "(") && parts[0].ends(with: "):")
    description = hasLocation ? String(parts[1]) : words
  }
}

/// A received message.
struct NatsMessage: Sendable {
  let subject: String
  /// Subject for the response; empty if none is expected.
  let reply: String
  let headers: [String: String]
  let bytes: [UInt8]
}

extension NatsMessage {
  fileprivate init(_ message: OpaquePointer) {
    subject = unsafe natsMsg_GetSubject(message).map { unsafe String(cString: $0) } ?? ""
    reply = unsafe natsMsg_GetReply(message).map { unsafe String(cString: $0) } ?? ""
    let data = unsafe UnsafeRawBufferPointer(
      start: natsMsg_GetData(message), count: Int(natsMsg_GetDataLength(message)))
    bytes = unsafe [UInt8](data)
    var headers: [String: String] = [:]
    var keys: UnsafeMutablePointer<UnsafePointer<CChar>?>?
    var count: Int32 = 0
    if unsafe natsMsgHeader_Keys(message, &keys, &count) == NATS_OK, let keys = unsafe keys {
      for index in 0..<Int(count) {
        var value: UnsafePointer<CChar>?
        if let key = unsafe keys[index], unsafe natsMsgHeader_Get(message, key, &value) == NATS_OK,
          let value = unsafe value
        {
          unsafe headers[String(cString: key)] = unsafe String(cString: value)
        }
      }
      unsafe CMemory.free(keys)
    }
    self.headers = headers
  }
}

public import CConfab
internal import Confab

// The version, texts of errors, and statistics.

// Never freed.
private nonisolated(unsafe) let version = unsafe UnsafePointer(CMemory.copy(CONFAB_VERSION))
private nonisolated(unsafe) let rejectionNames = unsafe rejections.map {
  unsafe UnsafePointer(CMemory.copy($0.rawValue))
}

@c @implementation
public func confab_version() -> UnsafePointer<CChar>? { unsafe version }

@c @implementation
public func confab_last_error() -> UnsafePointer<CChar>? { unsafe LastError.text }

@c @implementation
public func confab_strerror(_ code: Int32) -> UnsafePointer<CChar>? {
  let text: StaticString =
    switch confab_error(code) {
    case _ where code == CONFAB_BACKLOGGED: "queued, backlog over the high-water mark"
    case CONFAB_OK: "no error"
    case CONFAB_ERROR_ARGUMENT: "an argument is NULL or out of range"
    case CONFAB_ERROR_SIZE: "a struct has a wrong size"
    case CONFAB_ERROR_CONFIGURATION: "invalid configuration"
    case CONFAB_ERROR_HOST: "unknown host"
    case CONFAB_ERROR_ADDRESS_IN_USE: "address in use"
    case CONFAB_ERROR_LISTEN: "cannot listen"
    case CONFAB_ERROR_CERTIFICATE: "invalid certificate or key"
    case CONFAB_ERROR_LIBRARY: "libwebsockets, libuv or a thread could not be set up"
    case CONFAB_ERROR_THREAD: "called on the wrong thread"
    case CONFAB_ERROR_STATE: "the server is in the wrong state"
    case CONFAB_ERROR_CLOSED: "closing or closed"
    case CONFAB_ERROR_ROOMS: "too many rooms"
    case CONFAB_ERROR_FORKED: "called in a child of fork()"
    case CONFAB_ERROR_HISTORY: "unusable history file"
    case CONFAB_ERROR_PENDING: "too many messages or calls are pending"
    case CONFAB_ERROR_UNAVAILABLE: "the room is not open in time"
    case CONFAB_ERROR_UNKNOWN: "the message may have been stored, or not"
    case CONFAB_ERROR_HISTORY_GONE: "messages after the position are not stored any more"
    case CONFAB_ERROR_EPOCH: "the position is of another epoch"
    case CONFAB_ERROR_NOT_FOUND: "there is no such member or restriction"
    case CONFAB_ERROR_RESTRICTIONS: "too many mutes and bans"
    default: "unknown error"
    }
  return unsafe constant(text)
}

@c @implementation
public func confab_server_statistics(
  _ server: OpaquePointer?, _ statistics: UnsafeMutablePointer<confab_statistics>?, _ size: Int
) -> Int32 {
  result { () throws(CError) in
    let now = try unsafe HostedServer.of(server).server.statistics
    var value = confab_statistics()
    (value.connections, value.accepted, value.messages) = (
      Int64(now.connections), Int64(now.accepted), Int64(now.messages)
    )
    (value.received_bytes, value.deliveries, value.sent_bytes) = (
      Int64(now.receivedBytes), Int64(now.deliveries), Int64(now.sentBytes)
    )
    value.loop_lag_us = Int64(now.loopLag / .microseconds(1))
    value.loop_stall_us = Int64(now.loopStall / .microseconds(1))
    value.backlog = Int64(now.backlog)
    unsafe withUnsafeMutableBytes(of: &value.delivery_latency) {
      unsafe $0.copyBytes(from: now.deliveryLatency.counts.map { Int64($0) }.withUnsafeBytes { unsafe Array($0) })
    }
    value.delivery_latency_sum_us = Int64(now.deliveryLatency.sum / .microseconds(1))
    try unsafe confab_statistics.write(value, to: statistics, size)
  }
}

/// The reasons in the order of `enum confab_rejection`. New reasons are appended.
let rejections: [RejectionReason] = [
  .badRequest, .originNotAllowed, .hostNotAllowed, .notEncrypted, .notFound, .methodNotAllowed, .handshakeTimeout,
  .bodyNotAllowed, .pathTooLong, .versionNotSupported, .tooManyFromAddress, .headersTooLarge, .tooManyConnections,
  .rejectedByHandler, .notUnderstood, .messageTooBig, .tooManyFragments, .notUtf8, .notDeflate, .protocolError,
  .tooManyUnfinished, .tooFarBehind, .idle, .closeTimeout, .acceptRate, .messageRate, .byteRate, .pingRate,
  .authorizationTimeout, .badProxyHeader,
]

private func rejectionReason(_ reason: Int32) throws(CError) -> Int {
  guard rejections.indices.contains(Int(reason)) else {
    throw .argument("reason must be 0 to \(rejections.count - 1), not \(reason)")
  }
  return Int(reason)
}

@c @implementation
public func confab_server_rejections(_ server: OpaquePointer?, _ reason: Int32) -> Int64 {
  result { () throws(CError) in
    let reason = rejections[try rejectionReason(reason)]
    return Int64(try unsafe HostedServer.of(server).server.statistics.rejections[reason] ?? 0)
  }
}

@c @implementation
public func confab_rejection_name(_ reason: Int32) -> UnsafePointer<CChar>? {
  unsafe value(or: nil) { () throws(CError) in unsafe rejectionNames[try rejectionReason(reason)] }
}

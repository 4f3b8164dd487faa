public import CConfab
internal import Confab
internal import ConfabChat
internal import ConfabSQLite
#if NATS
  internal import ConfabNats
#endif

@c @implementation
public func confab_config_init(_ config: UnsafeMutablePointer<confab_config>?, _ size: Int) -> Int32 {
  result { () throws(CError) in try unsafe confab_config.write(.defaults, to: config, size) }
}

@c @implementation
public func confab_mount_init(_ mount: UnsafeMutablePointer<confab_mount>?, _ size: Int) -> Int32 {
  result { () throws(CError) in
    var defaults = unsafe confab_mount()
    unsafe defaults.path = constant("/")
    unsafe defaults.index = constant("index.html")
    try unsafe confab_mount.write(defaults, to: mount, size)
  }
}

@c @implementation
public func confab_callbacks_init(_ callbacks: UnsafeMutablePointer<confab_callbacks>?, _ size: Int) -> Int32 {
  result { () throws(CError) in try unsafe confab_callbacks.write(confab_callbacks(), to: callbacks, size) }
}

/// Maps a member of the struct to a setting of ``Configuration`` or ``ChatOptions``.
@unsafe private enum ConfigField<Settings> {
  case flag(WritableKeyPath<confab_config, Int32>, WritableKeyPath<Settings, Bool>)
  case small(WritableKeyPath<confab_config, Int32>, WritableKeyPath<Settings, Int>)
  case number(WritableKeyPath<confab_config, Int64>, WritableKeyPath<Settings, Int>)
  case milliseconds(WritableKeyPath<confab_config, Int64>, WritableKeyPath<Settings, Duration>)

  func read(_ config: confab_config, to settings: inout Settings) {
    switch unsafe self {
    case .flag(let member, let setting): unsafe settings[keyPath: setting] = config[keyPath: member] != 0
    case .small(let member, let setting): unsafe settings[keyPath: setting] = Int(config[keyPath: member])
    case .number(let member, let setting): unsafe settings[keyPath: setting] = Int(config[keyPath: member])
    case .milliseconds(let member, let setting):
      unsafe settings[keyPath: setting] = .milliseconds(config[keyPath: member])
    }
  }

  func write(_ settings: Settings, to config: inout confab_config) {
    switch unsafe self {
    case .flag(let member, let setting): unsafe config[keyPath: member] = settings[keyPath: setting] ? 1 : 0
    case .small(let member, let setting): unsafe config[keyPath: member] = Int32(settings[keyPath: setting])
    case .number(let member, let setting): unsafe config[keyPath: member] = Int64(settings[keyPath: setting])
    case .milliseconds(let member, let setting):
      unsafe config[keyPath: member] = Int64(settings[keyPath: setting] / .milliseconds(1))
    }
  }
}

private var serverSettings: [ConfigField<Configuration>] {
  unsafe [
    .small(\.port, \.port), .small(\.loops, \.loops),
    .flag(\.offers_compression, \.offersCompression), .flag(\.requires_origin, \.requiresOrigin),
    .number(\.max_message_size, \.maxMessageSize), .number(\.max_fragments, \.maxFragments),
    .number(\.max_unfinished_bytes, \.maxUnfinishedBytes), .number(\.max_backlog, \.maxBacklog),
    .number(\.max_total_backlog, \.maxTotalBacklog),
    .number(\.max_rooms_per_connection, \.maxRoomsPerConnection), .number(\.max_connections, \.maxConnections),
    .number(\.max_connections_per_address, \.maxConnectionsPerAddress),
    .number(\.max_accept_rate, \.maxAcceptRate), .number(\.max_header_size, \.maxHeaderSize),
    .number(\.max_path_length, \.maxPathLength), .milliseconds(\.handshake_timeout_ms, \.handshakeTimeout),
    .number(\.max_message_rate, \.maxMessageRate), .number(\.max_byte_rate, \.maxByteRate),
    .number(\.max_ping_rate, \.maxPingRate), .milliseconds(\.ping_interval_ms, \.pingInterval),
    .milliseconds(\.idle_timeout_ms, \.idleTimeout), .milliseconds(\.close_timeout_ms, \.closeTimeout),
    .flag(\.shares_port, \.sharesPort), .flag(\.limits_loopback, \.limitsLoopback),
    .flag(\.proxy_protocol, \.proxyProtocol),
    .number(\.backlog_mark, \.backlogMark),
    .milliseconds(\.stop_timeout_ms, \.stopTimeout), .milliseconds(\.drain_time_ms, \.drainTime),
    .number(\.send_buffer_size, \.sendBufferSize),
  ]
}

private var chatSettings: [ConfigField<ChatOptions>] {
  unsafe [
    .number(\.max_rooms, \.maxRooms), .number(\.max_history_messages, \.maxHistoryMessages),
    .number(\.max_history_bytes, \.maxHistoryBytes), .milliseconds(\.max_history_age_ms, \.maxHistoryAge),
    .number(\.max_total_history_bytes, \.maxTotalHistoryBytes), .number(\.join_messages, \.joinMessages),
    .milliseconds(\.max_change_age_ms, \.maxChangeAge), .number(\.max_text_length, \.maxTextLength),
    .number(\.max_name_length, \.maxNameLength),
    .number(\.max_event_rate, \.maxEventRate),
    .number(\.max_event_burst, \.maxEventBurst),
    .number(\.max_rename_rate, \.maxRenameRate), .number(\.max_pending_bytes, \.maxPendingBytes),
    .number(\.max_restrictions, \.maxRestrictions),
    .milliseconds(\.max_guest_restriction_ms, \.maxGuestRestriction),
  ]
}

extension confab_config {
  static var defaults: confab_config {
    var config = unsafe confab_config(Configuration(), ChatOptions())
    unsafe config.log_level = Int32(CONFAB_LOG_NOTICE.rawValue)
    unsafe config.max_history_file_size = Int64(SQLiteEngine.defaultFileSize)
    #if NATS
      let stream = JetStreamOptions(urls: [])
      unsafe config.nats_replicas = Int32(stream.replicas)
      unsafe config.nats_max_bytes = Int64(stream.maxBytes)
    #endif
    unsafe config.token_grace_ms = Int64(Admission.open.grace / .milliseconds(1))
    return unsafe config
  }

  init(_ configuration: Configuration, _ options: ChatOptions) {
    unsafe self.init()
    unsafe serverSettings.forEach { unsafe $0.write(configuration, to: &self) }
    unsafe chatSettings.forEach { unsafe $0.write(options, to: &self) }
  }

  /// Returns the chat's settings in this struct.
  func chatOptions() throws(CError) -> ChatOptions {
    var options = ChatOptions()
    unsafe chatSettings.forEach { unsafe $0.read(self, to: &options) }
    do throws(ConfabError) { try options.validate() } catch { throw CError(error) }
    return options
  }

  /// Returns the server's settings in this struct.
  func configuration(_ log: LogTarget) throws(CError) -> Configuration {
    var configuration = Configuration()
    unsafe serverSettings.forEach { unsafe $0.read(self, to: &configuration) }
    if unsafe host != nil { configuration.host = try unsafe string(host, "host") }
    if unsafe tls_certificate_file != nil || tls_key_file != nil {
      configuration.tls = try unsafe TLS(
        certificateFile: string(tls_certificate_file, "tls_certificate_file"),
        keyFile: string(tls_key_file, "tls_key_file"))
    }
    configuration.mounts = try unsafe readMounts()
    configuration.listeningSockets = try unsafe readListeningSockets()
    if unsafe uv_loop != nil && is_polled != 0 {
      throw CError(CONFAB_ERROR_CONFIGURATION, "uv_loop and is_polled exclude each other")
    }
    configuration.subprotocols = try unsafe strings(subprotocols, "a subprotocol")
    configuration.allowedOrigins = try unsafe strings(allowed_origins, "an allowed origin")
    configuration.allowedHosts = try unsafe strings(allowed_hosts, "an allowed host")
    configuration.trustedProxies = try unsafe strings(trusted_proxies, "a trusted proxy")
    configuration.logger = try unsafe logger(log)
    return configuration
  }

  private func readListeningSockets() throws(CError) -> [Int32] {
    let count = unsafe listening_socket_count
    guard (0...64).contains(count) else { throw .argument("listening_socket_count must be 0 to 64, not \(count)") }
    guard count > 0 else { return [] }
    guard let sockets = unsafe listening_sockets else { throw .argument("listening_sockets is NULL") }
    return unsafe Array(UnsafeBufferPointer(start: sockets, count: count))
  }

  private func readMounts() throws(CError) -> [Mount] {
    let count = unsafe mount_count
    guard (0...256).contains(count) else { throw .argument("mount_count must be 0 to 256, not \(count)") }
    guard unsafe mount_count > 0 else { return [] }
    guard let first = unsafe UnsafeRawPointer(mounts) else { throw .argument("mounts is NULL") }
    let stride = unsafe first.load(as: Int.self)
    var read: [Mount] = []
    for index in 0..<(unsafe mount_count) {
      let mount = try unsafe confab_mount.read(
        (first + index * stride).assumingMemoryBound(to: confab_mount.self))
      read.append(
        try unsafe Mount(
          path: string(mount.path, "the path of a mount"),
          directory: string(mount.directory, "the directory of a mount"),
          index: string(mount.index, "the index of a mount")))
    }
    return read
  }
}

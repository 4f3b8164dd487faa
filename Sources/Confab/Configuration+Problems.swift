extension Configuration {
  func validate() throws(ConfabError) {
    if let problem = problems.first { throw ConfabError(.invalidConfiguration, problem.message()) }
  }

  /// All problems of the settings.
  package var problems: [Problem] {
    var problems: [Problem] = []
    func require(_ condition: Bool, _ settings: String..., text: @escaping @Sendable ([String]) -> String) {
      if !condition { problems.append(Problem(settings, text: text)) }
    }
    require((0...65_535).contains(port), "port") { "\($0[0]) must be 0 to 65535, not \(port)" }
    require((1...64).contains(loops), "loops") { "\($0[0]) must be 1 to 64, not \(loops)" }
    problems += Configuration.limits.compactMap { $0.problem(in: self) }
    require(
      pingInterval == .zero || idleTimeout == .zero || pingInterval < idleTimeout, "pingInterval", "idleTimeout"
    ) {
      "\($0[0]) must be less than \($0[1]), but is \(pingInterval.inSeconds) s with \(idleTimeout.inSeconds) s"
    }
    require(backlogMark >= 0, "backlogMark") { "\($0[0]) must not be negative, but is \(backlogMark)" }
    for origin in allowedOrigins {
      require(origin == "*" || origin == "null" || Origin(origin) != nil, "allowedOrigins") {
        "\($0[0]): '\(origin)' is not an origin: it must be like https://example.org, null or *"
      }
    }
    for host in allowedHosts {
      require(Authority(host).map { $0.port == nil } ?? false, "allowedHosts") {
        "\($0[0]): '\(host)' is not a host: it must be a name or an address, without a port, like example.org"
      }
    }
    for proxy in trustedProxies {
      require(AddressRange(proxy) != nil, "trustedProxies") {
        "\($0[0]): '\(proxy)' is not an address or network: it must be like 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32"
      }
    }
    require(!proxyProtocol || !trustedProxies.isEmpty, "proxyProtocol", "trustedProxies") {
      "\($0[0]) needs \($0[1]): otherwise any client could claim any address"
    }
    for name in subprotocols {
      require(name.isToken, "subprotocols") { _ in
        "'\(name)' is not a subprotocol: it must be a token (RFC 7230, section 3.2.6)"
      }
      let canBeRead = name.utf8.count <= Subprotocols.maxName && !("0"..."9").contains(name.first ?? "_")
      require(canBeRead, "subprotocols") { _ in
        "libwebsockets cannot read the subprotocol '\(name)': it must not be longer than \(Subprotocols.maxName) bytes, "
          + "nor begin with a digit"
      }
    }
    for mount in mounts {
      require(mount.path.begins(with: "/"), "mounts") { _ in
        "the path of a mount must begin with '/', but is '\(mount.path)'"
      }
      require(mount.path == "/" || !mount.path.ends(with: "/"), "mounts") { _ in
        "the path of a mount must not end with '/', but is '\(mount.path)'"
      }
      require(mount.path.utf8.count < 256, "mounts") { _ in
        "the path of a mount must be shorter than 256 bytes: '\(mount.path)'"
      }
      require(isDirectory(mount.directory), "mounts") {
        "\($0[0]): there is no folder '\(mount.directory)' to serve at \(mount.path)"
      }
    }
    return problems
  }
}

/// A problem of one or more settings.
package struct Problem: Sendable {
  /// The names of the settings in Swift, beginning with the one that is wrong.
  package let settings: [String]
  private let text: @Sendable ([String]) -> String

  package init(_ settings: [String], text: @escaping @Sendable ([String]) -> String) {
    (self.settings, self.text) = (settings, text)
  }

  /// Returns one sentence about the problem. `name` maps each setting's name in Swift to the one in the message.
  package func message(naming name: (String) -> String = { $0 }) -> String { text(settings.map(name)) }
}

extension String {
  /// Whether the text is an HTTP token (RFC 7230, section 3.2.6).
  package var isToken: Bool {
    !isEmpty
      && utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
      }
  }
}

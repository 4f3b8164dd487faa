import ArgumentParser
import Confab

/// Options that control access.
struct AccessOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Web origin whose pages may connect, like https://example.org; '*' allows every origin. May be given several \
      times. If the server listens on loopback only, clients on this machine may always connect from pages of \
      loopback and pages opened from a file. If it listens on other addresses, pages whose origin has the host and port of the request may always \
      connect. (default: none)
      """,
      valueName: "origin"))
  var allowOrigin: [String] = []

  @Flag(inversion: .prefixedNo, help: "Reject clients that send no Origin header. Browsers always send one.")
  var requireOrigin = false

  @Option(
    help: ArgumentHelp(
      "Host name that is accepted in the Host header. May be given several times. (default: any)", valueName: "host"))
  var allowHost: [String] = []

  @Option(
    help: ArgumentHelp(
      """
      Address of a trusted proxy, or network of trusted proxies, like 10.0.0.0/8. For connections from trusted \
      proxies, the server takes the client's address from X-Forwarded-For or the PROXY protocol. May be given several \
      times. (default: none)
      """,
      valueName: "address"))
  var trustedProxy: [String] = []

  @Flag(
    inversion: .prefixedNo,
    help: "Require a PROXY protocol header, version 1 or 2, on each connection of a trusted proxy.")
  var proxyProtocol = false

  func apply(to configuration: inout Configuration) {
    configuration.trustedProxies = trustedProxy
    configuration.proxyProtocol = proxyProtocol
    configuration.allowedOrigins = allowOrigin
    configuration.requiresOrigin = requireOrigin
    configuration.allowedHosts = allowHost
  }
}

import ArgumentParser
import Confab
import ConfabChat
import Logging
import ServiceLifecycle

/// Metrics and health for the operator, on a separate listener.
///
/// `/metrics` is in Prometheus's text format. `/livez` reports whether all event loops run, `/readyz` whether the
/// server accepts clients.
final class Admin: Handler {
  private let server: Server
  private let chat: Chat
  /// Host names that are allowed in requests, in addition to numeric addresses.
  private let names: [String]

  private init(_ server: Server, _ chat: Chat, _ names: [String]) {
    (self.server, self.chat, self.names) = (server, chat, names)
  }

  /// Makes the listener at `address` that reports about `server`.
  static func makeServer(at address: ListenAddress, about server: Server, _ chat: Chat, _ logger: Logger) throws
    -> Server
  {
    var configuration = Configuration(host: address.host, port: address.port, logger: logger)
    configuration.loops = 1
    configuration.maxConnections = 100
    configuration.stopTimeout = .zero
    let names = ["localhost", address.host] + server.configuration.allowedHosts
    return try Server(configuration) { _ in Admin(server, chat, names) }
  }

  func authorize(_ request: borrowing Request) -> Authorization {
    .reject(Response(status: 404, "this listener does not accept WebSocket connections\n"))
  }

  func response(to request: borrowing Request) -> Response? {
    if let host = request[header: "host"].map({ Authority($0) }), !isAllowed(host) {
      let host = host?.host ?? "?"
      return Response(status: 403, "host '\(host)' is not allowed (to allow it: --allow-host \(host))\n")
    }
    return switch request.path {
    case "/metrics":
      Response(
        headers: ["Content-Type": "text/plain; version=0.0.4; charset=utf-8"],
        Metrics(server.statistics, chat).text)
    case "/livez": stall ?? Response("ok\n")
    case "/readyz":
      if let stall {
        stall
      } else if !server.isReady {
        Response(status: 503, "the server is stopping\n")
      } else if !chat.isAvailable {
        Response(status: 503, "messages cannot be stored at the moment\n")
      } else {
        Response("ok\n")
      }
    default: nil
    }
  }

  /// Prevents DNS rebinding: a page whose host name points to this machine must not read the operator's data. Numeric
  /// addresses cannot be rebound.
  private func isAllowed(_ authority: Authority?) -> Bool {
    guard let authority else { return false }
    return authority.isNumeric || names.contains { $0.lowercased() == authority.host }
  }

  /// The response while an event loop is stuck; nil if all run.
  private var stall: Response? {
    let stall = server.statistics.loopStall
    guard stall > Admin.patience else { return nil }
    return Response(status: 503, "an event loop has been stuck for \(stall.components.seconds) s\n")
  }
  private static let patience = Duration.seconds(3)

  func received(_ message: Message, from connection: Connection) {}
}

/// An argument with host and port, like `127.0.0.1:9090`.
struct ListenAddress: ExpressibleByArgument, CustomStringConvertible {
  let host: String
  let port: Int

  init?(argument: String) {
    guard let colon = argument.lastIndex(of: ":"), let port = Int(argument[argument.index(after: colon)...]),
      (0...65_535).contains(port)
    else { return nil }
    var host = String(argument[..<colon])
    if host.hasPrefix("[") && host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
    if host.isEmpty { return nil }
    (self.host, self.port) = (host, port)
  }

  var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

  /// Returns whether a server at `host` would listen on this address. Nil means loopback.
  func collides(with host: String?, _ port: Int) -> Bool {
    guard port == self.port, port != 0 else { return false }
    guard let host else { return ["127.0.0.1", "::1", "localhost"].contains(self.host) }
    return [self.host, "0.0.0.0", "::"].contains(host)
  }
}

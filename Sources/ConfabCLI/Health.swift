import ArgumentParser
import Confab
import ConfabChat

/// Requests /readyz of a running server, for the health check of a container.
struct Health: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check whether a running server is ready: exit code 0 if it is, otherwise 1.",
    discussion: """
      Requests /readyz of the server's --admin listener. Without --admin, the address is the one of the server's \
      settings: CONFAB_ADMIN, or the file that CONFAB_CONFIG names.
      """)

  @Option(help: ArgumentHelp("Address of the server's --admin listener.", valueName: "host:port"))
  var admin: ListenAddress?

  @Option(help: ArgumentHelp("Maximum time until the reply, at least 0.1.", valueName: "seconds"))
  var timeout = Seconds(.seconds(3))

  func run() throws {
    let settings = Settings(commandLine: [], environment: environmentVariables)
    guard let admin = admin ?? settings.options.admin else {
      throw Failure("--admin is missing, and CONFAB_ADMIN is not set: the address of the server's --admin listener")
    }
    guard admin.port != 0 else { throw Failure("--admin must have a port other than 0") }
    let reply: HttpProbe.Reply
    do {
      reply = try HttpProbe.get(
        "/readyz", host: admin.reachableHost, port: admin.port, within: max(timeout.duration, .milliseconds(100)))
    } catch {
      throw Failure("the server at \(admin) is not ready: \(error.reason)")
    }
    let text = String(reply.body.trimmed).withoutControls
    guard reply.status == 200 else {
      throw Failure("the server at \(admin) is not ready: status \(reply.status)\(text.isEmpty ? "" : ", \(text)")")
    }
    StandardStream.output.write("ready\n")
  }
}

extension ListenAddress {
  /// A host that a client on this machine can connect to.
  fileprivate var reachableHost: String {
    switch host {
    case "0.0.0.0": "127.0.0.1"
    case "::": "::1"
    default: host
    }
  }
}

import Confab
import ConfabTestSupport
import Foundation
import Testing

private final class Own: Handler {
  func response(to request: borrowing Request) -> Response? {
    request.path == "/docs/own" ? Response(headers: ["Content-Type": "text/html"], "made here") : nil
  }
  func received(_ message: Message, from connection: Connection) {}
}

@Suite struct MountTests {
  @Test func foldersAndAHandlerServeDifferentPaths() async throws {
    let root = FileManager.default.temporaryDirectory.appendingPathComponent("mounts-\(UInt64.random(in: 0 ... .max))")
    defer { try? FileManager.default.removeItem(at: root) }
    var mounts: [Mount] = []
    for (path, folder) in [("/", "site"), ("/docs", "manual"), ("/docs/old", "archive")] {
      let directory = root.appendingPathComponent(folder)
      try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
      for file in ["index.html", "page.txt"] {
        try Data("\(folder) \(file)".utf8).write(to: directory.appendingPathComponent(file))
      }
      mounts.append(Mount(path: path, directory: directory.path))
    }
    let server = try Server(Configuration(host: "127.0.0.1", port: 0, mounts: mounts)) { _ in Own() }
    try server.start()
    for (path, status, body) in [
      ("/", 200, "site index.html"), ("/page.txt", 200, "site page.txt"), ("/docs/", 200, "manual index.html"),
      ("/docs/page.txt", 200, "manual page.txt"), ("/docs/old/page.txt", 200, "archive page.txt"),
      ("/docs/own", 200, "made here"), ("/old/page.txt", 404, "nothing is served at /old/page.txt\n"),
      ("/docsy", 404, "nothing is served at /docsy\n"),
    ] {
      let client = try RawClient(
        port: server.port, request: "GET \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
      #expect(client.response.hasPrefix("HTTP/1.1 \(status) "), "\(path)")
      let length = client.response.lowercased().contains("content-length: \(body.utf8.count)\r\n")
      #expect(length, "\(path): \(client.response)")
      #expect(try client.read(body.utf8.count) == body, "\(path)")
    }
    server.stop()
    await server.waitUntilStopped()
  }
}

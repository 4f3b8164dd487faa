import Confab
import Logging
import ServiceLifecycle

let server = try Server(Configuration(port: 8080))
let group = ServiceGroup(
  services: [server], gracefulShutdownSignals: [.sigterm, .sigint], logger: Logger(label: "echo"))
try await withThrowingDiscardingTaskGroup { tasks in
  tasks.addTask { try await group.run() }
  for try await connection in server.connections {
    tasks.addTask {
      do {
        for try await message in connection.messages {
          try await connection.send(message)
        }
      } catch let error as ConfabError {
        print(error)
      }
    }
  }
}

import Confab

let server = try Server(Configuration(port: 8080))
try await withThrowingDiscardingTaskGroup { group in
  group.addTask { try await server.run() }
  for try await connection in server.connections {
    group.addTask {
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

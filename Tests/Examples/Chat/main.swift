import Confab
import ConfabChat

let server = try Chat().makeServer(Configuration(port: 8080, mounts: [.chatPage]))
try await server.run()

import Confab
import ConfabChat

let chat = Chat()
let server = try Server(Configuration(port: 8080, mounts: [.chatPage])) { loop in chat.handler(on: loop) }
try await server.run()

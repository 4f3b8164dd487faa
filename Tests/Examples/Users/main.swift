import Confab
import ConfabChat

/// Looks up the user of a token, in a database or another service.
func user(of token: String) async -> (id: Int, name: String, isModerator: Bool)? {
  token == "secret" ? (7, "Ann", true) : nil
}

let chat = Chat(admit: { request, token in
  guard let token else { throw AdmissionError(.tokenRequired) }
  guard let user = await user(of: token) else { throw AdmissionError(.tokenInvalid) }
  return Identity(
    id: "\(user.id)", name: user.name,
    rights: user.isModerator ? [.read, .say, .history, .moderate] : .member,
    rooms: [RoomPattern("/team/*")!])
})
let server = try chat.makeServer(Configuration(port: 8080, mounts: [.chatPage]))
try await server.run()

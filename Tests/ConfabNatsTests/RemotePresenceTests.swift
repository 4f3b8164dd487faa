import Confab
import Testing

@testable import ConfabChat
@testable import ConfabNats

struct RemotePresenceTests {
  private func name(_ text: String) -> Name { Name(text, limit: 32)! }

  private func presence(_ people: [(String, Session, Int)], count: Int? = nil) -> ServerPresence {
    let people = people.map { MemberPresence(name($0.0), $0.1, connectionNumber: $0.2) }
    return ServerPresence(members: people, count: count ?? people.count)
  }

  @Test func counts_that_no_server_has_do_not_overflow() {
    var remote = RemotePresence(room: "/")
    for server in ["one", "two", "three"] { remote.update(server, presence([], count: .max)) }
    #expect(remote.count > 0)
    remote.update("one", presence([], count: .min))
    #expect(remote.count > 0)
  }

  @Test func a_member_at_two_servers_is_where_its_newest_connection_is() {
    var remote = RemotePresence(room: "/")
    let session = Session(in: "/")
    remote.update("one", presence([("Ann", session, 1)], count: 3))
    remote.update("two", presence([("Anna", session, 2)]))
    #expect(
      Array(remote.names.keys) == [name("Anna")] && remote.count == 3
        && remote.member(with: session)?.connectionNumber == 2)
    #expect(remote.isTaken(name("anna"), exceptBy: nil) && !remote.isTaken(name("anna"), exceptBy: session.member))
    remote.update("two", .none)
    #expect(Array(remote.names.keys) == [name("Ann")] && remote.count == 3)
    remote.update("one", .none)
    #expect(remote.names.isEmpty && remote.count == 0)
  }

  /// After updates in any order, the state is that of the last ones.
  @Test func updates_add_up() {
    let sessions = (0..<6).map { _ in Session(in: "/") }
    for _ in 0..<300 {
      var (remote, told) = (RemotePresence(room: "/"), [String: ServerPresence]())
      for _ in 0..<20 {
        let server = ["one", "two", "three"].randomElement()!
        let people = sessions.filter { _ in .random() }.map { session in
          (["Ann", "ANN", "Bob", "Cid"].randomElement()!, session, Int.random(in: 1...1000))
        }
        let before = Set(remote.names.keys)
        told[server] = presence(people, count: people.count + Int.random(in: 0...2))
        let difference = remote.update(server, told[server]!)
        #expect(difference.names == before.symmetricDifference(remote.names.keys))
        var anew = RemotePresence(room: "/")
        for (server, presence) in told { anew.update(server, presence) }
        #expect(remote.names == anew.names && remote.count == anew.count)
        for session in sessions {
          #expect(remote.has(session.member) == anew.has(session.member))
          #expect(remote.member(with: session)?.connectionNumber == anew.member(with: session)?.connectionNumber)
          for text in ["Ann", "Bob", "Cid"] {
            let isTaken = remote.isTaken(name(text), exceptBy: session.member)
            #expect(isTaken == anew.isTaken(name(text), exceptBy: session.member))
          }
        }
      }
    }
  }
}

import FoundationEssentials

@testable import ConfabChat

/// Parses events of the rich protocol and their names, texts and tags. The input is an event. The server has checked
/// only that it is UTF-8.
func fuzzEvents(_ input: inout Input) {
  let text = String(decoding: input.remaining(), as: UTF8.self)
  checkName(text)
  checkText(text)
  checkRoom(text)
  var head = ClientEvent.Head()
  let event = ClientEvent(Array(text.utf8), &head)
  if let room = head.room { checkRoom(room) }
  switch event {
  case .hello(let hello), .enter(let hello):
    if let name = hello.name { checkName(name) }
    if let session = hello.session { checkSession(session) }
  case .say(let say):
    if let text = say.text { checkText(text) }
    if let tag = say.tag { checkTag(tag) }
  case .rename(let rename): checkName(rename.name)
  case .edit(let edit): checkText(edit.text)
  case .moderate(let event):
    require(event.duration ?? 1 > 0, "a time of \(event.duration ?? 0)")
    let end = event.until(now: 1_800_000_000_000, limit: nil)
    require(end.map { $0 > 1_800_000_000_000 && Position.times.contains($0) } ?? true, "an end at \(end ?? 0)")
  case .remove, .typing, .history, .token, .leave, .unknown, nil: break
  }
}

/// A parsed name parses as itself and has no deceptive characters.
private func checkName(_ text: String) {
  guard let name = Name(text, limit: 32) else { return }
  let again = Name(name.text, limit: 32)
  require(
    again.map { $0.text.utf8.elementsEqual(name.text.utf8) && $0.key == name.key } ?? false,
    "'\(text)' is read as '\(name.text)', and that otherwise")
  require(1...32 ~= name.text.count && name.text.utf8.count <= 128, "'\(name.text)' is too long")
  require(name.text == text || text.utf8.count > 0, "a name out of nothing")
  for scalar in name.text.unicodeScalars {
    require(!(0..<32 ~= scalar.value || 0x202A...0x202E ~= scalar.value || 0x2066...0x2069 ~= scalar.value), name.text)
  }
  let loud = Name(name.text.uppercased(), limit: 32)
  require(loud.map { $0.key == name.key } ?? true, "'\(name.text)' has another key in capitals")
  for number in [2, 99, 1_000_000] {
    guard let numbered = name.numbered(number) else { continue }
    require(numbered.text.hasSuffix("\(number)"), "'\(name.text)' becomes '\(numbered.text)'")
  }
}

/// The name of a room is its own path.
private func checkRoom(_ path: String) {
  guard let name = path.roomName(limit: 100) else { return }
  require(name.utf8.count <= 100 && name.utf8.first == UInt8(ascii: "/"), "'\(name)' is a room")
  require(name.roomName(limit: 100)?.utf8.elementsEqual(name.utf8) ?? false, "'\(name)' has another name")
}

/// A cleaned text is unchanged by cleaning it again, and by writing and reading it as JSON.
private func checkText(_ text: String) {
  guard let once = try? Text(text, limit: 100) else { return }
  require(1...100 ~= once.text.count && once.text.utf8.count <= 1600, "'\(once.text)' is too long")
  require((try? Text(once.text, limit: 100))?.text == once.text, "'\(once.text)' is cleaned twice")
  let json = MessageEvent(
    at: Position(offset: 1, time: 2), from: "a", member: Member(number: 1), tag: "b", text: once.text
  ).json
  let read = try? JSONDecoder().decode([String: JSONMember].self, from: Data(json))
  require(read?["text"]?.text?.utf8.elementsEqual(once.text.utf8) ?? false, "'\(once.text)' is written otherwise")
}

private struct JSONMember: Decodable {
  let text: String?
  init(from decoder: any Decoder) throws { text = try? decoder.singleValueContainer().decode(String.self) }
}

private func checkTag(_ text: String) {
  let isTag = 1...64 ~= text.utf8.count && text.utf8.allSatisfy { "-_".utf8.contains($0) || isLetterOrDigit($0) }
  require((Tag(text) != nil) == isTag, "'\(text)' is \(isTag ? "a" : "no") tag")
}

private func isLetterOrDigit(_ byte: UInt8) -> Bool {
  48...57 ~= byte || 65...90 ~= byte || 97...122 ~= byte
}

private func checkSession(_ text: String) {
  guard let session = Session(text, in: "/") else { return }
  require(Session(session.text, in: "/")?.isSame(as: session) ?? false, "'\(text)' is read as '\(session.text)'")
}

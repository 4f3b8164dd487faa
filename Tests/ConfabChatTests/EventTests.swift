import Confab
import Testing

@testable import ConfabChat

struct EventTests {
  private func event(_ json: String) -> ClientEvent? {
    var head = ClientEvent.Head()
    return ClientEvent(Array(json.utf8), &head)
  }

  @Test(arguments: [
    (#"{"type":"say","ref":"r-1"}"#, "r-1"), (#"{"ref":"r"}"#, "r"), (#"{"type":"typing","ref":"a b"}"#, nil),
    (#"{"type":"typing","ref":7}"#, nil), (#"{"type":"typing"}"#, nil), (#"["ref"]"#, nil),
  ])
  func refIsReadFromAnyObject(_ json: String, _ expected: String?) {
    var head = ClientEvent.Head()
    _ = ClientEvent(Array(json.utf8), &head)
    #expect(head.ref == expected)
  }

  @Test(arguments: [
    (#"{"type":"say","room":"/tea"}"#, "/tea"), (#"{"type":"typing","room":"/cafe\u0301"}"#, "/caf\u{e9}"),
    (#"{"type":"typing","room":null}"#, nil), (#"{"type":"typing"}"#, nil), (#"{"type":"typing","room":"tea"}"#, nil),
  ])
  func roomIsReadFromAnyEvent(_ json: String, _ expected: String?) {
    var head = ClientEvent.Head()
    _ = ClientEvent(Array(json.utf8), &head)
    let isValid = head.room == nil || expected != nil
    #expect(head.normalizeRoom(limit: 10) == isValid)
    #expect(head.room.map { Array($0.utf8) } == expected.map { Array($0.utf8) })
  }

  @Test(arguments: ["/", "/tea", "/tea/", "/a/b", "/...", "/.a", "/%ff", "/a b", "/\u{1F600}"])
  func normalizedPathIsARoom(_ path: String) { #expect(path.roomName(limit: 10) == path) }

  @Test(arguments: ["", "tea", "//", "/a//b", "/./a", "/a/..", "/.", "/\0", "/1234567890", "\u{0301}/", "/a/../b"])
  func otherPathIsNoRoom(_ path: String) { #expect(path.roomName(limit: 10) == nil) }

  @Test func eventsOfARoomGetTheMemberRoom() throws {
    let logs = RoomLogs(room: "/a\"b")
    #expect(
      String(decoding: logs.withRoom(Array(#"{"type":"typing"}"#.utf8)[...]), as: UTF8.self)
        == #"{"room":"/a\"b","type":"typing"}"#)
  }

  @Test func eventsAreRead() {
    guard case .hello(let hello)? = event(#"{"type":"hello","name":"Ann","after":3,"epoch":"e","unknown":[1]}"#) else {
      Issue.record("no hello")
      return
    }
    #expect(hello.name == "Ann" && hello.after == 3 && hello.epoch == "e" && hello.session == nil)
    guard case .say(let say)? = event(#"{"text":"\ud83d\ude00\u0000\/","tag":"t","type":"say"}"#) else {
      Issue.record("no say")
      return
    }
    #expect(say.tag == "t" && say.text == "😀\u{0}/")
    guard case .typing? = event(#"{"type":"typing","name":5}"#) else { Issue.record("no typing"); return }
    guard case .history(let request)? = event(#"{"type":"history","before":9,"count":null}"#) else {
      Issue.record("no history")
      return
    }
    #expect(request.before == 9 && request.after == nil && request.count == nil)
    guard case .rename(let rename)? = event(#"{"type":"rename","name":""}"#) else { Issue.record("no rename"); return }
    #expect(rename.name == "")
    guard case .unknown("dance")? = event(#"{"type":"dance"}"#) else { Issue.record("known"); return }
    #expect(event(#"{"type":"say","tag":"t"}"#)?.tag == "t" && event(#"{"type":"say","text":5,"tag":"t"}"#)?.tag == "t")
  }

  @Test(arguments: [
    "", " ", "null", "5", "\"say\"", "[]", "{}", "{", #"{"type":5}"#, #"{"type":null}"#, #"{"type":"token"}"#,
    #"{"type":"token","token":1}"#, #"{"type":"hello","token":1}"#, #"{"type":"hello","name":5}"#,
    #"{"type":"hello","name":"Ann","after":"5"}"#,
    #"{"type":"hello","name":"Ann","after":1.5}"#, #"{"type":"hello","name":"Ann","after":99999999999999999999}"#,
    #"{"type":"history","before":1e400}"#,
    #"{"type":"rename","name":"\ud800"}"#, #"{"type":"rename","name":"\udc00\ud800"}"#,
    #"{"type":"typing"} "#.dropLast().dropLast() + "",
    #"{"type":"typing"}{"type":"typing"}"#, "{'type':'typing'}", "{\"type\":\"ty\nping\"}",
    #"{"type":"typing","x":NaN}"#, #"{"type":"enter","room":5}"#, #"{"type":"say","room":[]}"#,
  ])
  func other_texts_are_malformed_events(_ json: String) {
    #expect(event(json) == nil)
  }

  @Test(arguments: [#""\ud800""#, #""\udc00\ud800""#, "5", "null", "[]"])
  func theTagOfWhatCannotBeSaidIsKnown(_ text: String) {
    guard case .say(let say)? = event(#"{"type":"say","text":\#(text),"tag":"t"}"#) else {
      Issue.record("no say")
      return
    }
    #expect(say.tag == "t" && say.text == nil)
  }

  /// Reading any input takes bounded time, and memory bounded by a multiple of the message.
  @Test func largeAndDeepEventsDoNoHarm() {
    let limit = 1 << 20
    let deep = [("[", "]"), (#"{"a":"#, "}"), (#"[{"b":["#, "]}]")].map { open, close in
      let count = limit / (open.count + close.count) - 20
      return #"{"type":"typing","x":"# + String(repeating: open, count: count) + "1"
        + String(repeating: close, count: count) + "}"
    }
    for json in deep { #expect(event(json) == nil) }
    for piece in ["[],", "1,", "{},", #""","#, #"{"a":1},"#, "1e308,", "-0.00000001,"] {
      let json = #"{"type":"typing","x":["# + String(repeating: piece, count: limit / piece.utf8.count) + "0]}"
      guard case .typing? = event(json) else { Issue.record("\(piece) is not read"); continue }
    }
    func members(_ count: Int) -> String { (1..<count).map { #""\#($0)":0,"# }.joined() }
    guard case .typing? = event("{" + members(256) + #""type":"typing"}"#) else { Issue.record("not read"); return }
    for count in [257, limit / 12] { #expect(event("{" + members(count) + #""type":"typing"}"#) == nil) }
    guard case .unknown? = event(#"{"type":""# + String(repeating: #"\u0041"#, count: limit / 6) + #""}"#) else {
      Issue.record("not read")
      return
    }
    let digits = #"{"type":"hello","name":"a","after":"# + String(repeating: "1", count: limit) + "}"
    #expect(event(digits) == nil)
    guard case .typing? = event(#"{"type":"hello","type":"typing"}"#) else {
      Issue.record("of two members with one name the later one does not count")
      return
    }
  }

  @Test func nestingIsBounded() {
    func nested(_ depth: Int) -> String {
      #"{"type":"typing","x":"# + String(repeating: "[", count: depth) + String(repeating: "]", count: depth) + "}"
    }
    guard case .typing? = event(nested(31)) else { Issue.record("31 arrays are not read"); return }
    #expect(event(nested(32)) == nil)
  }

  @Test func namesAndNumbersMayBeWrittenOtherwise() {
    guard case .history(let request)? = event(#" {"\u0074ype" : "his\u0074ory" , "after":-3.0,"count":2e1 } "#) else {
      Issue.record("no history")
      return
    }
    #expect(request.after == -3 && request.count == 20)
    for number in ["01", "+1", "1.", ".5", "-", "1e", "0x1", "1 1", "1e-1", "\"1\"", "true", "[]"] {
      #expect(event(#"{"type":"history","after":\#(number)}"#) == nil, "\(number)")
    }
    for text in [#""\x""#, #""\u12g4""#, #""\""#, "'a'", "\"a\tb\"", #""a"#] {
      #expect(event(#"{"type":"typing","x":\#(text)}"#) == nil, "\(text)")
    }
    for rest in [",", "}", " x", "\0"] { #expect(event(#"{"type":"typing"}"# + rest) == nil) }
    for members in [#""type":"typing","#, #","type":"typing""#, #""type" "typing""#, #"type:"typing""#] {
      #expect(event("{" + members + "}") == nil, "\(members)")
    }
  }

  @Test func aLegalEventIsNotTooLong() {
    let limit = 4000
    for text in ["😀", "e" + String(repeating: "\u{301}", count: 7), "語"] {
      let escapes = text.utf16.map { #"\u\#(String(Int($0) + 0x10000, radix: 16).dropFirst())"# }.joined()
      let json = #"{"type":"say","tag":"t","text":""# + String(repeating: escapes, count: limit) + #""}"#
      #expect(json.utf8.count <= ClientEvent.maxBytes(textLimit: limit))
      guard case .say(let say)? = event(json), (try? Text(say.text ?? "", limit: limit)) != nil else {
        Issue.record("\(text) is not said")
        continue
      }
    }
  }

  @Test func stacked_marks_make_no_character() {
    let marks = ["\u{301}", "\u{302}", "\u{5B0}", "\u{64B}", "\u{FE0F}", "\u{94D}", "\u{200D}"]
    let pieces = marks + ["e", "\n", "語", "👍", "क"]
    for _ in 0..<3000 {
      let text = (0..<Int.random(in: 0...12)).map { _ in pieces.randomElement()! }.joined()
      #expect(text.withoutStackedMarks.count == text.count, "\(Array(text.unicodeScalars))")
    }
    let stacked = "e" + String(repeating: "\u{301}\u{302}", count: 1000)
    #expect(stacked.withoutStackedMarks.utf8.count == 3)
  }

  @Test func blanksAreThoseOfUnicode() {
    for value in UInt32(0)...0x10FFFF {
      guard let scalar = Unicode.Scalar(value) else { continue }
      let properties = scalar.properties
      guard scalar.isBlank != (properties.isWhitespace || properties.isDefaultIgnorableCodePoint) else { continue }
      Issue.record("U+\(String(value, radix: 16))")
    }
  }

  @Test func eventsAreWritten() {
    func text(_ event: some ServerEvent) -> String { String(decoding: event.json, as: UTF8.self) }
    #expect(
      text(
        MessageEvent(
          at: Position(offset: 1, time: 2), from: "Ann", member: Member(number: 10), tag: "t", text: "a/b\n\u{1}\"你好😀"))
        == #"{"at":2,"from":"Ann","id":1,"member":"000000000000000a","tag":"t","text":"a/b\n\u0001\"你好😀","type":"message"}"#
    )
    #expect(
      text(MessageEvent(at: Position(offset: 1, time: 2), binary: 3)) == #"{"at":2,"binary":3,"id":1,"type":"message"}"#
    )
    #expect(text(TypingEvent(name: "Ann")) == #"{"name":"Ann","type":"typing"}"#)
    #expect(
      text(ErrorEvent(.nameTaken, "no", proposal: "Ann2"))
        == #"{"code":"nameTaken","message":"no","proposal":"Ann2","type":"error"}"#)
    let tag = String(repeating: "x", count: 65)
    #expect(text(ErrorEvent(.tagInvalid, "no", tag: tag)) == #"{"code":"tagInvalid","message":"no","type":"error"}"#)
  }

  @Test func thePlainFormIsThatOfTheTutorial() {
    let text = Array("你好\nhi".utf8)
    let form = PlainProtocol.form(of: Message(.text, text.span), from: "Ann", at: 1_700_000_000_999)
    #expect(String(decoding: form, as: UTF8.self) == "At 2023-11-14 22:13:20 UTC\n来自用户Ann\n你好\nhi")
  }
}

import Testing

@testable import ConfabChat

struct SessionTests {
  @Test func sessionsAreReadAsTheyAreWritten() throws {
    let session = Session(in: "/")
    #expect(session.text.utf8.count == 48)
    let again = try #require(Session(session.text, in: "/"))
    #expect(again.isSame(as: session) && again.text == session.text)
    #expect(!Session(in: "/").isSame(as: session))
  }

  @Test func everyDigitCounts() throws {
    let session = Session(in: "/")
    for index in 0..<48 {
      var digits = Array(session.text)
      digits[index] = digits[index] == "0" ? "1" : "0"
      let other = try #require(Session(String(digits), in: "/"))
      #expect(!other.isSame(as: session) && other.member != session.member)
    }
  }

  @Test func membersAreReadAsTheyAreWritten() {
    for number in [0, 1, 0xfedc_ba98_7654_3210, UInt64.max] {
      let member = Member(number: number)
      #expect(
        member.text.utf8.count == 16 && Member(member.text) == member && Member(bytes: member.bytes[...]) == member)
    }
    for text in ["", "1", "+000000000000001", "-000000000000001", "g000000000000000", "00000000000000000"] {
      #expect(Member(text) == nil)
    }
  }

  @Test(arguments: ["", "x", String(repeating: "g", count: 48), String(repeating: "ä", count: 24)])
  func other_texts_are_not_sessions(_ text: String) {
    #expect(Session(text, in: "/") == nil)
  }
}

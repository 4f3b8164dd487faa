import Confab
import Testing

@testable import ConfabChat
@testable import ConfabNats

struct MessageIDTests {
  private func id(_ text: String, _ tag: String? = "t", member: UInt64 = 1, room: String = "r") -> String? {
    Draft(kind: .text, bytes: Array(text.utf8), name: "Ann", member: Member(number: member), tag: tag).id(in: room)
  }

  @Test func a_message_said_again_has_the_same_id() {
    #expect(id("hello") == "r/0000000000000001/t/2cf24dba5fb0a30e" && id("hello") == id("hello"))
  }

  @Test func another_text_tag_member_or_room_is_another_message() {
    let ids = [id("hello"), id("hello!"), id("hello", "u"), id("hello", member: 2), id("hello", room: "s")]
    #expect(Set(ids).count == 5 && !ids.contains(nil) && id("hello", nil) == nil)
  }
}

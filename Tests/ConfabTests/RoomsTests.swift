import Confab
import Testing

struct RoomsTests {
  @Test func roomExistsWhileItHasMembers() throws {
    let rooms = Rooms(limit: 2)
    #expect(rooms["tea"] == nil)
    let tea = try #require(rooms.enter("tea"))
    #expect(rooms.enter("tea") === tea && rooms["tea"] === tea)
    let coffee = try #require(rooms.enter("coffee"))
    #expect(coffee !== tea && rooms.enter("water") == nil)
    rooms.leave(tea)
    #expect(rooms["tea"] === tea)
    rooms.leave(tea)
    #expect(rooms["tea"] == nil)
    #expect(rooms.enter("water") != nil)
  }

  @Test func namesAreComparedByTheirBytes() throws {
    let rooms = Rooms(limit: 0)
    let composed = try #require(rooms.enter("caf\u{e9}"))
    let decomposed = try #require(rooms.enter("cafe\u{301}"))
    #expect(composed !== decomposed && rooms["caf\u{e9}"] === composed && rooms["cafe\u{301}"] === decomposed)
    rooms.leave(composed)
    #expect(rooms["caf\u{e9}"] == nil && rooms["cafe\u{301}"] === decomposed)
  }

  @Test func zeroMeansUnlimited() {
    let rooms = Rooms(limit: 0)
    #expect((0..<1000).allSatisfy { rooms.enter("\($0)") != nil })
  }
}

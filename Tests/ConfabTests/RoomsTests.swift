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

  @Test func zeroMeansUnlimited() {
    let rooms = Rooms(limit: 0)
    #expect((0..<1000).allSatisfy { rooms.enter("\($0)") != nil })
  }
}

import Confab
import Foundation
import Testing

@testable import ConfabChat

struct ChatTests {
  /// Opens ten rooms with ten messages each.
  private func fill(_ chat: Chat) -> [ChatRoom] {
    let rooms = (0..<10).map { chat.rooms.enter("/\($0)") }
    rooms.forEach { $0.keepOrder() }
    for room in rooms { for _ in 0..<10 { say(in: room) } }
    return rooms
  }

  private func say(in room: ChatRoom) {
    room.publish(Message(.text, Array(String(repeating: "x", count: 936).utf8).span))
  }

  @Test func theHistoriesOfAllRoomsAreBounded() {
    let unlimited = Chat()
    _ = fill(unlimited)
    let limit = unlimited.historyBytes
    #expect(100_000...120_000 ~= limit)
    var options = ChatOptions()
    options.maxTotalHistoryBytes = limit
    let chat = Chat(options: options)
    let rooms = fill(chat)
    #expect(chat.historyBytes == limit && rooms.allSatisfy(\.hasHistory))

    // Vacant rooms are removed first, the one left longest ago before the others.
    chat.rooms.leave(rooms[3])
    chat.rooms.leave(rooms[2])
    say(in: rooms[0])
    #expect(chat.historyBytes < limit && !rooms[3].hasHistory && rooms[2].hasHistory)
    #expect(chat.rooms.enter("/3") !== rooms[3] && chat.rooms.enter("/2") === rooms[2])

    // Then the room that is published to drops its oldest messages.
    for _ in 0..<1000 {
      say(in: rooms[1])
      #expect(chat.historyBytes <= limit)
    }
    #expect(rooms[0].hasHistory && rooms[2].hasHistory)
  }

  @Test func a_room_that_is_left_counts_for_the_budget() {
    var options = ChatOptions()
    options.maxTotalHistoryBytes = 20 * RoomState.vacantOverhead
    let chat = Chat(options: options)
    let visited = chat.rooms.enter("/visited")
    visited.keepOrder()
    visited.publish(Message(.text, [65].span))
    let own = chat.historyBytes
    for number in 0..<100 {
      let room = chat.rooms.enter("/\(number)")
      room.keepOrder()
      room.publish(Message(.text, [65].span))
      chat.rooms.leave(room)
      #expect(chat.historyBytes <= options.maxTotalHistoryBytes)
      // An occupied room counts only its messages.
      if number == 5 {
        let before = chat.historyBytes
        #expect(chat.rooms.enter("/5") === room && chat.historyBytes == before - RoomState.vacantOverhead - 2)
        chat.rooms.leave(room)
        #expect(chat.historyBytes == before)
      }
    }
    #expect(chat.historyBytes > 15 * RoomState.vacantOverhead && visited.hasHistory && own < 200)
  }

  @Test func roomsWithHistoryStayUntilTheirPlaceIsNeeded() {
    var options = ChatOptions()
    options.maxRooms = 2
    let chat = Chat(options: options)
    let (one, two) = (chat.rooms.enter("/1"), chat.rooms.enter("/2"))
    // A room keeps a history only after a rich client has joined.
    one.publish(Message(.text, [64].span))
    #expect(!one.hasHistory)
    one.keepOrder()
    one.publish(Message(.text, [65].span))
    #expect(!chat.rooms.hasCapacity(for: "/3"))
    chat.rooms.leave(one)
    chat.rooms.leave(two)
    #expect(chat.occupancy.isEmpty && chat.rooms.hasCapacity(for: "/3"))
    #expect(chat.rooms.enter("/1") === one && chat.rooms.enter("/2") !== two)
    #expect(chat.historyBytes > 0)
    chat.rooms.leave(one)
    _ = chat.rooms.enter("/3")
    #expect(chat.occupancy == ["/2": 1, "/3": 1])
    #expect(!chat.rooms.hasCapacity(for: "/1"))
  }

  @Test func aServerOfTheChatSpeaksTheSubprotocol() throws {
    var configuration = Configuration(host: "127.0.0.1", port: 0)
    configuration.subprotocols = ["other"]
    let server = try Chat().makeServer(configuration)
    #expect(server.configuration.subprotocols == ["other", Chat.subprotocol])
    var options = ChatOptions()
    options.joinMessages = 101
    #expect(throws: ConfabError(.invalidConfiguration, "joinMessages must be 0 to 100, not 101")) {
      try Chat(options: options).makeServer(configuration)
    }
  }

}

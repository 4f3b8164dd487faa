import Confab
import Foundation
import Testing

@testable import ConfabChat
@testable import ConfabSQLite

/// Calls `body` with a temporary folder.
private func withFolder(_ body: (String) throws -> Void) throws {
  let folder = "\(NSTemporaryDirectory())/confab-\(UUID())"
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  try body(folder)
}

private let retention = HistoryDatabase.Retention(messages: 100, bytes: 1 << 20, age: 0, total: 1 << 30)

struct HistoryDatabaseTests {
  /// The schema of the first version.
  private static let first = [
    """
    CREATE TABLE rooms (
      id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL, last INTEGER NOT NULL,
      run INTEGER NOT NULL, at INTEGER NOT NULL) STRICT
    """,
    "CREATE INDEX rooms_at ON rooms (at)",
    """
    CREATE TABLE messages (
      room INTEGER NOT NULL, id INTEGER NOT NULL, at INTEGER NOT NULL, kind INTEGER NOT NULL, bytes BLOB NOT NULL,
      author TEXT, tag TEXT, PRIMARY KEY (room, id)) STRICT
    """,
    "CREATE TABLE runs (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, isWhole INTEGER NOT NULL) STRICT",
    "INSERT INTO runs VALUES (0, 3, 1)", "INSERT INTO rooms VALUES (1, '/tea', 'old', 3, 3, 7)",
    "INSERT INTO messages VALUES (1, 1, 5, 1, 'hello', 'Ann', 't-1')",
    "INSERT INTO messages VALUES (1, 3, 7, 2, x'00ff', NULL, NULL)",
    "PRAGMA application_id = \(0x436E_6662)", "PRAGMA user_version = 1",
  ]

  @Test func fileOfTheFirstVersionKeepsItsMessages() throws {
    try withFolder { folder in
      let old = try Database(file: "\(folder)/chat.db", nil)
      for sql in HistoryDatabaseTests.first { try old.run(sql.replacing("'hello'", with: "CAST('hello' AS BLOB)")) }
      for _ in 0..<2 {
        let file = try HistoryDatabase("\(folder)/chat.db", retention, keepsAll: true)
        let snapshot = try #require(try file.read("/tea")?.snapshot)
        #expect(snapshot.publications.map(\.position) == [Position(offset: 1, time: 5), Position(offset: 3, time: 7)])
        #expect(snapshot.publications.map(\.draft.bytes) == [Array("hello".utf8), [0, 255]])
        #expect(
          snapshot.publications.map(\.draft.tag) == ["t-1", nil]
            && snapshot.publications.map(\.draft.name) == ["Ann", nil])
        #expect(snapshot.publications.allSatisfy { $0.draft.member == nil })
        // The last server may have delivered more, so the epoch changes.
        #expect(snapshot.epoch != "old" && snapshot.lastOffset > 3)
        try file.finish()
      }
    }
  }

  @Test func written_messages_are_read() throws {
    try withFolder { folder in
      let ann = Member(number: .max)
      let draft = Draft(kind: .text, bytes: Array("你好".utf8), name: "Ann", member: ann, tag: "t")
      var (epoch, last) = ("e", 0)
      for number in 1...3 {
        let file = try HistoryDatabase("\(folder)/chat.db", retention, keepsAll: true)
        var batch = RoomBatch(room: "/'tea", RoomEpoch(name: epoch, run: file.run))
        batch.append(Publication(draft, at: Position(offset: last + 1, time: 5)))
        #expect(try file.write([batch]).isEmpty)
        let snapshot = try #require(try file.read("/'tea")?.snapshot)
        #expect(
          snapshot.publications.count == number
            && snapshot.publications.allSatisfy { $0.draft.member == ann && $0.draft.tag == "t" })
        #expect(snapshot.epoch == "e" && snapshot.lastOffset == number)
        (epoch, last) = (snapshot.epoch, snapshot.lastOffset)
        // After this the process may be killed: everything is on the disk.
        try file.allow(isWhole: true)
      }
    }
  }

  @Test func roomThatCannotBeWrittenHarmsNoOther() throws {
    try withFolder { folder in
      let faults = Faults(folder) { true }
      let file = try HistoryDatabase("\(folder)/chat.db", retention, keepsAll: true) { step throws(DatabaseError) in
        if step.hasPrefix("INSERT INTO messages"), step.contains("x'02'") { throw DatabaseError("no") }
        try faults.step(step)
      }
      let pages = (1...3).map { number in
        var batch = RoomBatch(room: "/\(number)", RoomEpoch(name: "e", run: file.run))
        batch.append(Publication(Draft(kind: .text, bytes: [UInt8(number)]), at: Position(offset: 1, time: 5)))
        return batch
      }
      #expect(try file.write(pages).map(\.batch.room) == ["/2"])
      #expect(
        try file.read("/1")?.snapshot.lastOffset == 1 && file.read("/2") == nil
          && file.read("/3")?.snapshot.lastOffset == 1)
    }
  }

  @Test func pageKeepsTheNewestOfTooMany() {
    var batch = RoomBatch(room: "/", RoomEpoch(name: "e", run: 1))
    for number in 1...1000 {
      batch.append(Publication(Draft(kind: .text, bytes: [1]), at: Position(offset: number, time: 0)))
      batch.trim(messages: 10, bytes: 1 << 20)
      #expect(
        batch.publications.last?.position.offset == number && batch.publications.count >= min(10, number)
          && batch.publications.count <= 20)
      #expect(batch.bytes == batch.publications.count * (RoomBatch.overhead + 1) && batch.replaces == (number > 20))
    }
    batch.trim(messages: 10, bytes: 1000)
    #expect(batch.publications.map(\.position.offset) == [998, 999, 1000])
    batch.append(
      Publication(Draft(kind: .text, bytes: [UInt8](repeating: 1, count: 5000)), at: Position(offset: 1001, time: 0)))
    batch.trim(messages: 10, bytes: 1000)
    #expect(batch.publications.map(\.position.offset) == [1001])
  }
}

struct DamagedHistoryTests {
  /// Numbers that no server writes, in a file with an intact mark.
  @Test(arguments: [
    "UPDATE rooms SET last = 9223372036854775807", "UPDATE rooms SET last = -1",
    "UPDATE rooms SET run = -9223372036854775808",
    "UPDATE runs SET writes = 9223372036854775807", "UPDATE runs SET writes = -9223372036854775808, run = -1",
    "UPDATE runs SET run = -9223372036854775808", "UPDATE messages SET id = 9223372036854775807 WHERE id = 2",
    "UPDATE messages SET id = -9223372036854775808 WHERE id = 2",
    "UPDATE messages SET at = 9223372036854775807 WHERE id = 2",
    "UPDATE messages SET at = -1, kind = -1, bytes = x'ff', author = CAST(x'ff' AS TEXT) WHERE id = 2",
    "UPDATE messages SET kind = 300 WHERE id = 2",
    "UPDATE messages SET member = -9223372036854775808 WHERE id = 2",
  ])
  func numbersThatNobodyHasWrittenEndNothing(sql: String) throws {
    try withFolder { folder in
      for round in 0..<3 {
        if round == 1 { try Database(file: "\(folder)/chat.db", nil).run(sql) }
        let file = try HistoryDatabase("\(folder)/chat.db", retention, keepsAll: true)
        let snapshot = try file.read("/tea")?.snapshot ?? .empty
        #expect(
          snapshot.lastOffset >= 3 * round
            && snapshot.publications.allSatisfy { 1...snapshot.lastOffset ~= $0.position.offset })
        var batch = RoomBatch(room: "/tea", RoomEpoch(name: snapshot.epoch, run: file.run))
        for number in 1...3 {
          batch.append(
            Publication(Draft(kind: .text, bytes: [65]), at: Position(offset: snapshot.lastOffset + number, time: 5)))
        }
        #expect(try file.write([batch]).isEmpty)
        #expect(try file.read("/tea")?.snapshot.lastOffset == snapshot.lastOffset + 3)
        try file.allow(isWhole: true)
      }
    }
  }

  @Test func expiry_leaves_no_hole_when_the_clock_was_set_back() throws {
    try withFolder { folder in
      let aged = HistoryDatabase.Retention(messages: 100, bytes: 1 << 20, age: 100, total: 1 << 30)
      let now = WallClock.milliseconds
      for room in ["/now", "/later"] {
        let file = try HistoryDatabase("\(folder)/chat.db", room == "/now" ? aged : retention, keepsAll: true)
        var batch = RoomBatch(room: room, RoomEpoch(name: "e", run: file.run))
        for number in 1...100 {
          let seconds: Int64 = number <= 20 ? 1000 : number <= 60 ? -200 : 0
          batch.append(
            Publication(Draft(kind: .text, bytes: [65]), at: Position(offset: number, time: now + seconds * 1000)))
        }
        #expect(try file.write([batch]).isEmpty)
        try file.allow(isWhole: true)
      }
      let file = try HistoryDatabase("\(folder)/chat.db", aged, keepsAll: true)
      #expect(try file.read("/now")?.snapshot.publications.map(\.position.offset) == Array(61...100))
      #expect(try file.read("/later")?.snapshot.publications.map(\.position.offset) == Array(61...100))
    }
  }

  @Test func fileIsForItsOwnerAlone() throws {
    try withFolder { folder in
      let file = try HistoryDatabase("\(folder)/chat.db", retention, keepsAll: true)
      try file.allow(isWhole: true)
      for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
        let mode = try FileManager.default.attributesOfItem(atPath: "\(folder)/\(name)")[.posixPermissions] as? Int
        #expect(mode == 0o600, "\(name)")
      }
    }
  }
}

struct DeliveryMarkTests {
  @Test func copyOfARunningServersMarkSaysNothing() throws {
    try withFolder { folder in
      let mark = try DeliveryMark(file: "\(folder)/mark", nil)
      for (value, isKnown) in [
        (DeliveryMark.Contents(run: 1, transaction: 2), false),
        (DeliveryMark.Contents(run: 1, transaction: 2, changed: 3), true),
      ] {
        try mark.write(value, isLasting: true)
        let copy = "\(folder)/\(UUID())"
        try FileManager.default.copyItem(atPath: "\(folder)/mark", toPath: copy)
        #expect(try (DeliveryMark(file: copy, nil).read() != nil) == isKnown)
        #expect(mark.read() == value)
      }
    }
  }

  @Test func markIsReadAsItIsWritten() throws {
    try withFolder { folder in
      let mark = try DeliveryMark(file: "\(folder)/mark", nil)
      #expect(mark.read() == nil)
      for value in [(1, 2, 3), (.max, .max, .max), (0, 0, 0)].map({
        DeliveryMark.Contents(run: $0, transaction: $1, changed: $2)
      }) {
        try mark.write(value, isLasting: true)
        #expect(mark.read() == value)
      }
      for text in [
        "", "1 2 3", [String](repeating: "-9223372036854775808", count: 5).joined(separator: " "),
        "-" + String(repeating: "0", count: 98), String(repeating: "x", count: 99),
      ] {
        try Data(text.utf8).write(to: URL(filePath: "\(folder)/mark"))
        #expect(try DeliveryMark(file: "\(folder)/mark", nil).read() == nil)
      }
    }
  }
}

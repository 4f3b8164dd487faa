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

private let retention = HistoryFile.Retention(messages: 100, bytes: 1 << 20, age: 0, total: 1 << 30)

struct HistoryFileTests {
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
      for sql in HistoryFileTests.first { try old.run(sql.replacing("'hello'", with: "CAST('hello' AS BLOB)")) }
      for _ in 0..<2 {
        let file = try HistoryFile("\(folder)/chat.db", retention, keepsAll: true)
        let kept = try #require(try file.read("/tea")?.kept)
        #expect(kept.posts.map(\.place) == [Place(id: 1, at: 5), Place(id: 3, at: 7)])
        #expect(kept.posts.map(\.post.bytes) == [Array("hello".utf8), [0, 255]])
        #expect(kept.posts.map(\.post.tag) == ["t-1", nil] && kept.posts.map(\.post.name) == ["Ann", nil])
        #expect(kept.posts.allSatisfy { $0.post.member == nil })
        // The last server may have delivered more, so the epoch changes.
        #expect(kept.epoch != "old" && kept.last > 3)
        try file.finish()
      }
    }
  }

  @Test func whatIsWrittenIsRead() throws {
    try withFolder { folder in
      let ann = Member(number: .max)
      let post = Post(kind: .text, bytes: Array("你好".utf8), name: "Ann", member: ann, tag: "t")
      var (epoch, last) = ("e", 0)
      for number in 1...3 {
        let file = try HistoryFile("\(folder)/chat.db", retention, keepsAll: true)
        var page = Page(room: "/'tea", Numbering(epoch: epoch, run: file.run))
        page.append(PlacedPost(post, at: Place(id: last + 1, at: 5)))
        #expect(try file.write([page]).isEmpty)
        let kept = try #require(try file.read("/'tea")?.kept)
        #expect(kept.posts.count == number && kept.posts.allSatisfy { $0.post.member == ann && $0.post.tag == "t" })
        #expect(kept.epoch == "e" && kept.last == number)
        (epoch, last) = (kept.epoch, kept.last)
        // After this the process may be killed: everything is on the disk.
        try file.allow(isWhole: true)
      }
    }
  }

  @Test func roomThatCannotBeWrittenHarmsNoOther() throws {
    try withFolder { folder in
      let faults = Faults(folder) { true }
      let file = try HistoryFile("\(folder)/chat.db", retention, keepsAll: true) { step throws(DatabaseError) in
        if step.hasPrefix("INSERT INTO messages"), step.contains("x'02'") { throw DatabaseError("no") }
        try faults.step(step)
      }
      let pages = (1...3).map { number in
        var page = Page(room: "/\(number)", Numbering(epoch: "e", run: file.run))
        page.append(PlacedPost(Post(kind: .text, bytes: [UInt8(number)]), at: Place(id: 1, at: 5)))
        return page
      }
      #expect(try file.write(pages).map(\.page.room) == ["/2"])
      #expect(try file.read("/1")?.kept.last == 1 && file.read("/2") == nil && file.read("/3")?.kept.last == 1)
    }
  }

  @Test func pageKeepsTheNewestOfTooMany() {
    var page = Page(room: "/", Numbering(epoch: "e", run: 1))
    for number in 1...1000 {
      page.append(PlacedPost(Post(kind: .text, bytes: [1]), at: Place(id: number, at: 0)))
      page.trim(messages: 10, bytes: 1 << 20)
      #expect(page.posts.last?.place.id == number && page.posts.count >= min(10, number) && page.posts.count <= 20)
      #expect(page.bytes == page.posts.count * (Page.overhead + 1) && page.replaces == (number > 20))
    }
    page.trim(messages: 10, bytes: 1000)
    #expect(page.posts.map(\.place.id) == [998, 999, 1000])
    page.append(PlacedPost(Post(kind: .text, bytes: [UInt8](repeating: 1, count: 5000)), at: Place(id: 1001, at: 0)))
    page.trim(messages: 10, bytes: 1000)
    #expect(page.posts.map(\.place.id) == [1001])
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
        let file = try HistoryFile("\(folder)/chat.db", retention, keepsAll: true)
        let kept = try file.read("/tea")?.kept ?? .nothing
        #expect(kept.last >= 3 * round && kept.posts.allSatisfy { 1...kept.last ~= $0.place.id })
        var page = Page(room: "/tea", Numbering(epoch: kept.epoch, run: file.run))
        for number in 1...3 {
          page.append(PlacedPost(Post(kind: .text, bytes: [65]), at: Place(id: kept.last + number, at: 5)))
        }
        #expect(try file.write([page]).isEmpty)
        #expect(try file.read("/tea")?.kept.last == kept.last + 3)
        try file.allow(isWhole: true)
      }
    }
  }

  @Test func expiry_leaves_no_hole_when_the_clock_was_set_back() throws {
    try withFolder { folder in
      let aged = HistoryFile.Retention(messages: 100, bytes: 1 << 20, age: 100, total: 1 << 30)
      let now = WallClock.milliseconds
      for room in ["/now", "/later"] {
        let file = try HistoryFile("\(folder)/chat.db", room == "/now" ? aged : retention, keepsAll: true)
        var page = Page(room: room, Numbering(epoch: "e", run: file.run))
        for number in 1...100 {
          let seconds: Int64 = number <= 20 ? 1000 : number <= 60 ? -200 : 0
          page.append(PlacedPost(Post(kind: .text, bytes: [65]), at: Place(id: number, at: now + seconds * 1000)))
        }
        #expect(try file.write([page]).isEmpty)
        try file.allow(isWhole: true)
      }
      let file = try HistoryFile("\(folder)/chat.db", aged, keepsAll: true)
      #expect(try file.read("/now")?.kept.posts.map(\.place.id) == Array(61...100))
      #expect(try file.read("/later")?.kept.posts.map(\.place.id) == Array(61...100))
    }
  }

  @Test func fileIsForItsOwnerAlone() throws {
    try withFolder { folder in
      let file = try HistoryFile("\(folder)/chat.db", retention, keepsAll: true)
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
        (DeliveryMark.Value(run: 1, transaction: 2), false),
        (DeliveryMark.Value(run: 1, transaction: 2, changed: 3), true),
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
        DeliveryMark.Value(run: $0, transaction: $1, changed: $2)
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

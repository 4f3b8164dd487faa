import Confab
import FoundationEssentials

@testable import ConfabChat
@testable import ConfabSQLite

/// Opens a history file with arbitrary numbers, texts and mark, encodes its messages, then writes to it and reads it
/// again.
func fuzzHistoryDatabase(_ input: inout Input) {
  do { try live(&input) } catch { fatalError("\(error)") }
}

private let folder = "/dev/shm/confab-fuzz-\(UInt32.random(in: 0 ... .max))"
private let retention = HistoryDatabase.Retention(messages: 100, bytes: 1 << 16, age: 0, total: 1 << 20)

private func live(_ input: inout Input) throws {
  try? FileManager.default.removeItem(atPath: folder)
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  let path = "\(folder)/chat.db"
  let keepsAll = input.flag()
  _ = try HistoryDatabase(path, retention, keepsAll: keepsAll)
  do {
    let database = try Database(file: path, nil)
    try database.run("UPDATE runs SET run = \(number(&input)), writes = \(number(&input))")
    let room = try database.prepare("INSERT INTO rooms VALUES (1, '/', ?, ?, ?, ?)")
    try room.run(.text(input.line()), .int(number(&input)), .int(number(&input)), .int(number(&input)))
    let message = try database.prepare("INSERT OR REPLACE INTO messages VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)")
    for _ in 0..<input.index(below: 8) {
      let text = { (input: inout Input) in input.flag() ? input.line() : nil }
      try message.run(
        .int(number(&input)), .int(number(&input)), .int(number(&input)), .blob(input.bytes(input.index(below: 60))),
        .text(text(&input)), .text(text(&input)), .number(input.flag() ? number(&input) : nil),
        .number(input.flag() ? number(&input) : nil))
    }
  }
  if input.flag() { try Data(input.bytes(120)).write(to: URL(filePath: "\(path)-delivered")) }
  for _ in 0..<2 {
    let file = try HistoryDatabase(path, retention, keepsAll: keepsAll)
    let snapshot = try file.read("/")?.snapshot ?? .empty
    var history = History(maxMessages: input.element(of: [0, 1, 100]), maxBytes: input.element(of: [0, 100, 1 << 20]))
    history.restore(snapshot)
    require(
      history.lastOffset == snapshot.lastOffset && snapshot.lastOffset >= 0,
      "the last one is \(history.lastOffset), not \(snapshot.lastOffset)")
    for event in history.page(before: .max, count: 100).messages { require(!event.isEmpty, "no event") }
    var batch = RoomBatch(room: "/", RoomEpoch(name: snapshot.epoch, run: file.run))
    let target = snapshot.publications.last?.position.offset
    let entry = input.flag() ? target.map { EntryKind.removal(of: $0) } ?? .message : .message
    let draft = Draft(entry, kind: .text, bytes: entry == .message ? [65] : [])
    batch.append(Publication(draft, at: Position(offset: snapshot.lastOffset + 1, time: 5)))
    require(try file.write([batch]).isEmpty, "cannot be written")
    let written = try file.read("/")?.snapshot
    require(written?.lastOffset == snapshot.lastOffset + 1, "what was written is not there")
    if entry != .message {
      let removed = written?.publications.first { $0.position.offset == target }
      require(removed?.draft.bytes.isEmpty ?? true, "a removed message still has its text")
    }
    try file.allow(isWhole: true)
    try file.finish()
  }
}

private func number(_ input: inout Input) -> Int {
  input.element(of: [
    0, 1, 2, 3, 100, -1, 1 << 32, 1 << 52, 1 << 53, (1 << 53) + 1, .max - 1_000_000, .max - 1, .max, .min,
    Int(input.byte()),
    Int(bitPattern: UInt(input.integer())),
  ])
}

import Confab
import Dispatch
import Foundation
import Logging
import Synchronization

@testable import ConfabChat
@testable import ConfabSQLite

/// A chat's rooms and one file, with events chosen by a seed. ``guarantees`` checks what its rooms deliver.
final class World: @unchecked Sendable {
  // @unchecked: the simulation has one thread.

  private var random: SeededGenerator
  private let root: String
  private let durability: SQLiteEngine.Durability
  /// Whether the engine soon gives up on messages that it cannot write.
  private let givesUp: Bool
  private var folder: String
  private var engine: SQLiteEngine?
  private var faults: Faults
  private var scheduled: [@Sendable () -> Void] = []
  private var rooms: [String: ModelRoom] = [:]
  private var backup: String?
  private var count = 0
  private let guarantees = Guarantees()
  private(set) var log: [String] = []
  private(set) var steps = 0

  init(seed: UInt64) {
    random = SeededGenerator(seed: seed)
    durability = [.normal, .full].randomElement(using: &random) ?? .full
    givesUp = Int.random(in: 0..<4, using: &random) == 0
    let parent = FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory()
    root = "\(parent)/confab-world-\(seed)-\(UInt32.random(in: 0 ... .max))"
    folder = "\(root)/files"
    faults = Faults(folder) { true }
  }

  var isDead: Bool { faults.isDead }

  /// The first violation of a guarantee; nil if there is none.
  var problem: String? { guarantees.problem }

  func require(_ condition: Bool, _ text: @autoclosure () -> String) { guarantees.require(condition, text()) }

  /// Runs up to `events` random events, and stops at the first problem.
  func live(_ events: Int) {
    defer { try? FileManager.default.removeItem(atPath: root) }
    try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    start()
    for _ in 0..<events where problem == nil { happen() }
    if problem == nil { end() }
    forget()
  }

  private func note(_ text: String) { log.append(text) }

  // MARK: Events

  private func happen() {
    let name = "/\(Int.random(in: 0..<4, using: &random))"
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<40: say(in: name)
    case 40..<48: close(name)
    case 48..<78: work()
    case 78..<83:
      let isFull = faults.state.withLock { state in
        state.isFull.toggle()
        state.isMarkBroken = state.isFull && Int.random(in: 0..<4, using: &random) == 0
        return state.isFull
      }
      note(isFull ? "full" : "not full")
    case 83..<89:
      let steps = Int.random(in: 0..<20, using: &random)
      faults.state.withLock { $0.failsIn = steps }
      note("fails in \(steps)")
    case 89..<92:
      let steps = Int.random(in: 0..<60, using: &random)
      faults.state.withLock { $0.diesIn = steps }
      note("dies in \(steps)")
    case 92..<94:
      note("killed")
      faults.state.withLock { faults.kill(&$0) }
    case 94..<97: stop()
    case 97..<98: takeBackup()
    default: look()
    }
    if isDead { bury() }
  }

  private func say(in name: String) {
    guard let engine else { return }
    if rooms[name] == nil {
      note("opens \(name)")
      rooms[name] = ModelRoom(name, self, engine)
    }
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      count += 1
      let text = "message \(count)" + String(repeating: ".", count: Int.random(in: 0..<300, using: &random))
      if Int.random(in: 0..<5, using: &random) == 0, let id = rooms[name]?.changeable.randomElement(using: &random) {
        let isRemoved = Bool.random(using: &random)
        note("\(isRemoved ? "removes" : "edits") \(id) of \(name) with \(count)")
        rooms[name]?.change(id, to: isRemoved ? nil : text)
      } else {
        note("says \(count) in \(name)")
        rooms[name]?.say(text)
      }
    }
  }

  private func close(_ name: String) {
    guard let room = rooms.removeValue(forKey: name) else { return }
    note("closes \(name)")
    if room.isOpen { guarantees.expect(room, isWritten: !givesUp) }
    room.close()
  }

  /// Runs a random one of the queue's scheduled jobs.
  private func work() {
    guard !scheduled.isEmpty else { return }
    note("works")
    scheduled.remove(at: Int.random(in: 0..<scheduled.count, using: &random))()
    for name in faults.state.withLock({ $0.hurt }) { guarantees.expectNothing(of: name) }
    // The rooms continue in new epochs.
    if faults.state.withLock({ exchange(&$0.hasMarkFailed, with: false) }) { guarantees.expectNothing() }
  }

  private func look() { for room in rooms.values where room.isOpen { check(room) } }

  // MARK: Start and stop

  private func start() {
    let kept = Mutex<@Sendable () -> Bool>({ true })
    faults = Faults(folder) { kept.withLock { $0 }() }
    let options = {
      var options = ChatOptions()
      (options.maxHistoryMessages, options.maxHistoryBytes) = (100_000, 1 << 30)
      return options
    }()
    do {
      engine = try SQLiteEngine(
        "\(folder)/chat.db", durability, 1 << 30, options,
        Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() },
        maxUnwrittenBytes: givesUp ? 3000 : 1 << 30,
        hook: { [faults] step throws(DatabaseError) in try faults.step(step) },
        schedule: { [unowned self] _, work in scheduled.append(work) })
    } catch {
      guarantees.require(false, "does not start: \(error)")
    }
    kept.withLock { $0 = { [weak engine] in engine?.isStored ?? true } }
  }

  private func stop() {
    note("stops")
    let isLeft = faults.state.withLock { state in
      (state.failsIn, state.isFull, state.isMarkBroken) = (nil, state.isFull && state.isMarkBroken, false)
      return !state.isFull
    }
    for name in rooms.keys.sorted() { close(name) }
    settle()
    if isDead { return }
    engine?.end()
    if isDead { return }
    if !isLeft || engine?.isStored != true { guarantees.expectNothing() }
    forget()
    if Int.random(in: 0..<3, using: &random) == 0 { putBackupBack() }
    start()
  }

  /// Moves on to the files of the killed process.
  private func bury() {
    let state = faults.state.withLock { $0 }
    note("is found dead")
    for room in rooms.values where room.isOpen { guarantees.expect(room, isWritten: !givesUp) }
    for name in state.hurt { guarantees.expectNothing(of: name) }
    if durability == .normal || !state.wasKept || givesUp { guarantees.expectNothing() }
    forget()
    folder = state.remains ?? folder
    if Int.random(in: 0..<4, using: &random) == 0 { putBackupBack() }
    start()
  }

  private func forget() {
    for room in rooms.values { room.close() }
    // A killed engine does nothing more, but closes its file.
    if isDead { engine?.end() }
    (rooms, scheduled, engine) = ([:], [], nil)
  }

  private func end() {
    stop()
    if isDead { bury() }
    // All rooms reopen.
    for number in 0..<4 { say(in: "/\(number)") }
    settle()
    look()
  }

  /// Runs 20 jobs at most, because jobs that cannot succeed are retried for ever.
  private func settle() { for _ in 0..<20 where !isDead { work() } }

  private func takeBackup() {
    note("is backed up")
    backup = "\(root)/backup-\(UInt32.random(in: 0 ... .max))"
    try? FileManager.default.copyItem(atPath: folder, toPath: backup ?? "")
  }

  /// Replaces the database with the backup, with or without its mark.
  private func putBackupBack() {
    guard let backup else { return }
    let isWhole = Bool.random(using: &random)
    note(isWhole ? "is put back, with its mark" : "is put back")
    guarantees.expectNothing()
    for file in ["chat.db", "chat.db-wal"] + (isWhole ? ["chat.db-delivered"] : []) {
      try? FileManager.default.removeItem(atPath: "\(folder)/\(file)")
      try? FileManager.default.copyItem(atPath: "\(backup)/\(file)", toPath: "\(folder)/\(file)")
    }
  }

  // MARK: Deliveries

  func opened(_ room: ModelRoom, _ snapshot: RoomSnapshot) {
    note(
      "\(room.name) is open: \(snapshot.epoch), \(snapshot.lastOffset), \(snapshot.publications.map(\.position.offset))"
    )
    let isHurt = faults.state.withLock { $0.hurt.remove(room.name) != nil || $0.hasMarkFailed }
    guarantees.opened(room, snapshot, isHurt: isHurt)
    check(room)
  }

  func renumbered(_ room: ModelRoom) {
    note("\(room.name) goes on as \(room.epoch)")
    guarantees.renumbered(room)
  }

  func delivered(_ room: ModelRoom, _ publication: Publication) {
    guarantees.delivered(room, publication)
    if Int.random(in: 0..<3, using: &random) == 0 { guarantees.leave(room, at: publication.position.offset) }
  }

  private func check(_ room: ModelRoom) {
    steps += faults.state.withLock { exchange(&$0.steps, with: 0) }
    guarantees.check(room)
  }
}

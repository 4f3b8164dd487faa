import Foundation
import Synchronization

@testable import ConfabSQLite

/// What goes wrong with a database: called before each of its steps.
final class Faults: Sendable {
  struct State {
    /// Whether nothing can be written.
    var isFull = false
    /// Whether the mark can't be written either.
    var isMarkBroken = false
    var hasMarkFailed = false
    /// After how many steps the next one fails, once.
    var failsIn: Int?
    /// After how many steps the process is killed.
    var diesIn: Int?
    /// Rooms of which something may be lost: they could not be read.
    var hurt: Set<String> = []
    /// What the process has left behind when it was killed.
    var remains: String?
    var wasKept = true
    var steps = 0
  }
  let state = Mutex(State())
  let folder: String
  /// Whether all that has been delivered is on the disk: asked when the process is killed.
  private let isKept: @Sendable () -> Bool

  init(_ folder: String, isKept: @escaping @Sendable () -> Bool) { (self.folder, self.isKept) = (folder, isKept) }

  var isDead: Bool { state.withLock { $0.remains != nil } }

  func step(_ step: String) throws(DatabaseError) {
    let error = state.withLock { self.error(at: step, &$0) }
    if let error { throw error }
  }

  private func error(at step: String, _ state: inout State) -> DatabaseError? {
    state.steps += 1
    if state.remains != nil { return DatabaseError("killed") }
    if let count = state.diesIn {
      state.diesIn = count - 1
      if count <= 0 {
        kill(&state)
        return DatabaseError("killed")
      }
    }
    if step == "delivery mark" {
      if state.isMarkBroken { state.hasMarkFailed = true }
      return state.isMarkBroken ? DatabaseError("mark") : nil
    }
    let isWrite = ["INSERT", "UPDATE", "DELETE", "COMMIT"].contains { step.hasPrefix($0) }
    if state.isFull && isWrite { return DatabaseError("full") }
    if let count = state.failsIn {
      state.failsIn = count - 1
      guard count <= 0, !step.hasPrefix("ROLLBACK") else { return nil }
      state.failsIn = nil
      if step.hasPrefix("SELECT"), let room = Faults.room(in: step) { state.hurt.insert(room) }
      return DatabaseError("failed")
    }
    return nil
  }

  /// The process ends here and now: what the system has of its files is what is there.
  func kill(_ state: inout State) {
    state.wasKept = isKept()
    let remains = "\(folder)-\(UInt32.random(in: 0 ... .max))"
    try? FileManager.default.copyItem(atPath: folder, toPath: remains)
    // The mark knows a copy, but this one stands for the original.
    if let mark = try? DeliveryMark(file: "\(folder)/chat.db-delivered", nil), let value = mark.read() {
      try? DeliveryMark(file: "\(remains)/chat.db-delivered", nil).write(value, isLasting: false)
    }
    state.remains = remains
  }

  /// Rooms have names in apostrophes.
  private static func room(in step: String) -> String? {
    step.split(separator: "'").dropFirst().first.map(String.init)
  }
}

/// SplitMix64: the same numbers for the same seed.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var value = state
    value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
    value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
    return value ^ value >> 31
  }
}

import Foundation
import Synchronization

@testable import ConfabSQLite

/// Injects faults into the database. The engine calls it before each step.
final class Faults: Sendable {
  struct State {
    /// Whether the disk is full.
    var isFull = false
    /// Whether writing the mark fails too.
    var isMarkBroken = false
    var hasMarkFailed = false
    /// The number of steps until one fails.
    var failsIn: Int?
    /// The number of steps until the process is killed.
    var diesIn: Int?
    /// Rooms that may lose messages, because reading them failed.
    var hurt: Set<String> = []
    /// The folder with the files of the killed process.
    var remains: String?
    var wasKept = true
    var steps = 0
  }
  let state = Mutex(State())
  let folder: String
  /// Whether everything delivered is on the disk. Called when the process is killed.
  private let isStored: @Sendable () -> Bool

  init(_ folder: String, isStored: @escaping @Sendable () -> Bool) { (self.folder, self.isStored) = (folder, isStored) }

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

  /// Kills the process: only what the system has of its files remains.
  func kill(_ state: inout State) {
    state.wasKept = isStored()
    let remains = "\(folder)-\(UInt32.random(in: 0 ... .max))"
    try? FileManager.default.copyItem(atPath: folder, toPath: remains)
    // The mark would detect a copy, but this copy stands for the original.
    if let mark = try? DeliveryMark(file: "\(folder)/chat.db-delivered", nil), let value = mark.read() {
      try? DeliveryMark(file: "\(remains)/chat.db-delivered", nil).write(value, isLasting: false)
    }
    state.remains = remains
  }

  /// Returns the room's name, which a step has in apostrophes.
  private static func room(in step: String) -> String? {
    step.split(separator: "'").dropFirst().first.map(String.init)
  }
}

/// SplitMix64: a seed always yields the same numbers.
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

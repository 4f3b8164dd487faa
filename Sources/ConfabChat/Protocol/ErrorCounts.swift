internal import Synchronization

/// Number of errors sent to clients, by code. Any thread.
final class ErrorCounts: Sendable {
  private let state = Mutex<[ErrorEvent.Code: Int]>([:])

  func note(_ code: ErrorEvent.Code) { state.withLock { $0[code, default: 0] += 1 } }

  var counts: [String: Int] {
    let counts = state.withLock { $0 }
    return Dictionary(uniqueKeysWithValues: ErrorEvent.Code.allCases.map { ($0.rawValue, counts[$0] ?? 0) })
  }
}

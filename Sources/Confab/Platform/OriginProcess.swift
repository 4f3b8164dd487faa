internal import CLibwebsockets
internal import Synchronization

/// The process that a server was made in.
///
/// A child of `fork()` has a copy of the server's memory, without its threads, and with its locks as they were at that
/// moment. The server cannot be used there.
package struct OriginProcess: Sendable {
  private let forks: Int

  package init() {
    _ = countsForks
    forks = forkCount.load(ordering: .relaxed)
  }

  /// Whether the caller is in the process that the server was made in, not in a child of it.
  package var isCurrent: Bool { forkCount.load(ordering: .relaxed) == forks }

  package func check() throws(ConfabError) {
    guard isCurrent else {
      throw ConfabError(
        .forked, "the server belongs to the process that made it, and this is a child of fork(): fork before making it")
    }
  }
}

/// Number of calls of `fork()` that lead from the process that counted first to this one.
private let forkCount = Atomic(0)
private let countsForks: Bool = {
  let failure = pthread_atfork(nil, nil) { forkCount.wrappingAdd(1, ordering: .relaxed) }
  precondition(failure == 0, "no memory for a handler of fork()")
  return true
}()

internal import CLibwebsockets

/// The signals that the calling thread blocks. Threads that it makes inherit the mask.
struct SignalMask {
  private let mask: sigset_t

  /// Blocks the signals that a program handles, and returns the previous mask. Signals that the thread's own
  /// instructions raise, and the profilers' signal, stay as they are.
  static func blockingProgramSignals() -> SignalMask {
    var (blocked, mask) = (sigset_t(), sigset_t())
    unsafe sigfillset(&blocked)
    for signal in [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, SIGPROF] {
      unsafe sigdelset(&blocked, signal)
    }
    unsafe pthread_sigmask(SIG_BLOCK, &blocked, &mask)
    return SignalMask(mask: mask)
  }

  func restore() {
    var mask = mask
    unsafe pthread_sigmask(SIG_SETMASK, &mask, nil)
  }
}

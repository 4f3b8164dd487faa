internal import Glibc

/// The signals that the calling thread blocks, which a thread that it makes inherits.
struct SignalMask {
  private let mask: sigset_t

  /// Blocks the signals that a program handles, and returns the mask before. Signals that an instruction of the thread
  /// itself raises, and the one of profilers, stay as they are.
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

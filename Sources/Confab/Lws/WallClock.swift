internal import CLibwebsockets
internal import Glibc

/// The time of day.
package enum WallClock {
  /// Milliseconds since 1970, UTC, a few late: what the kernel has noted at its last tick, which takes a sixth of the
  /// time that looking at the clock does. Any thread.
  package static var milliseconds: Int64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME_COARSE, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}

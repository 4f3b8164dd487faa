internal import CLibwebsockets
internal import Glibc
internal import Synchronization

/// The receive buffers of connections: addresses that take memory only once something is written to them.
///
/// lws gives every connection a buffer as large as one read may be, and then reads into a buffer of its thread: the
/// connection's own holds nothing but the payload of control frames (lib/roles/ws/ops-ws.c, lws_ws_rx_sm). So reads can
/// be long, for few system calls, and an idle connection small: its buffer takes a page of memory once it has sent a
/// ping or pong with a payload, and nothing before.
enum ReceiveBuffer {
  /// What one read takes at the most, in bytes: lws adds LWS_PRE and 4 to what it allocates.
  static let size = Slots.size - 32

  /// Has lws allocate the buffers here. lws has one allocator for the process (lws_set_allocator): a program that uses
  /// lws itself gets this one too, which is realloc() for all else.
  static func install() { installed }

  /// How many connections have theirs here now.
  static var count: Int { slots.inUse }

  private static let installed: Void = unsafe lws_set_allocator { memory, size, purpose in
    let isBuffer = unsafe purpose.map { unsafe strcmp($0, "rx_ubuf") == 0 } ?? false
    if size == 0 && HeaderTables.areWatched.load(ordering: .relaxed) { unsafe HeaderTables.remove(memory) }
    let allocated = unsafe slots.reallocate(memory, size, isBuffer: isBuffer)
    if let allocated = unsafe allocated, size > 0, HeaderTables.areWatched.load(ordering: .relaxed),
      unsafe purpose.map({ unsafe strcmp($0, HeaderTables.purpose) == 0 }) ?? false
    {
      unsafe HeaderTables.add(allocated, size)
    }
    return unsafe allocated
  }
  private static let slots = Slots()
}

/// Reserved addresses, in pieces of one size.
@safe private final class Slots: Sendable {
  static let size = 64 << 10
  /// More buffers than that are allocated as everything else is.
  private static let count = 1 << 18
  /// So many are made usable at a time: valgrind looks for pointers in all that is, for which 16 GiB take a minute.
  private static let step = 1 << 8

  private let start: UInt
  private let end: UInt
  private let state = Mutex(State())
  private struct State {
    var given = 0
    var usable = 0
    /// What was given back is the first to be given again.
    var free = [UInt]()
  }

  init() {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    let region = unsafe mmap(nil, Slots.count * Slots.size, PROT_NONE, flags, -1, 0)!
    let isReserved = unsafe region != MAP_FAILED
    // A huge page would take 2 MiB for the first byte that is written.
    if isReserved { unsafe _ = madvise(region, Slots.count * Slots.size, Int32(MADV_NOHUGEPAGE)) }
    start = UInt(bitPattern: region)
    end = isReserved ? start + UInt(Slots.count * Slots.size) : start
  }

  var inUse: Int { state.withLock { $0.given - $0.free.count } }

  /// What realloc() does; frees when `size` is 0, as lws wants it.
  func reallocate(_ memory: UnsafeMutableRawPointer?, _ size: Int, isBuffer: Bool) -> UnsafeMutableRawPointer? {
    let address = UInt(bitPattern: memory)
    if address >= start && address < end {
      state.withLock { $0.free.append(address) }
      guard size > 0, let moved = unsafe malloc(size) else { return nil }
      return unsafe memcpy(moved, memory!, min(size, Slots.size))
    }
    if isBuffer && address == 0 && size <= Slots.size, let slot = take() {
      return unsafe UnsafeMutableRawPointer(bitPattern: slot)
    }
    if size > 0 { return unsafe realloc(memory, size) }
    unsafe free(memory)
    return nil
  }

  private func take() -> UInt? {
    state.withLock { state in
      if let slot = state.free.popLast() { return slot }
      let slot = start + UInt(state.given * Slots.size)
      if slot >= end { return nil }
      if state.given == state.usable {
        let step = unsafe UnsafeMutableRawPointer(bitPattern: slot)
        guard unsafe mprotect(step, Slots.step * Slots.size, PROT_READ | PROT_WRITE) == 0 else { return nil }
        state.usable += Slots.step
      }
      state.given += 1
      return slot
    }
  }
}

internal import CLibwebsockets
internal import Synchronization

/// The receive buffers of connections: addresses that take memory only once they are written to.
///
/// lws gives every connection a buffer of the size of one read, and then reads into a buffer of its thread. The
/// connection's own buffer holds only the payload of control frames (lib/roles/ws/ops-ws.c, lws_ws_rx_sm). So reads can
/// be long, with few system calls, and idle connections small. A connection's buffer takes a page of memory once the
/// peer has sent a ping or pong with a payload, and none before.
enum ReceiveBuffer {
  /// Maximum number of bytes of one read. lws allocates LWS_PRE + 4 bytes more.
  static let size = Slots.size - 32

  /// Makes lws allocate the buffers here. lws has one allocator for the process (lws_set_allocator), so a program that
  /// uses lws itself gets this one, too. It is realloc() for everything else.
  static func install() { installed }

  /// Number of connections whose buffers take no memory until they are written to. It is lower than usual if the
  /// process may have few addresses (`ulimit -v`).
  static var capacity: Int { slots.count }

  /// Number of buffers in use.
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

/// Reserved addresses, in slots of one size.
@safe private final class Slots: Sendable {
  static let size = 64 << 10
  /// Maximum number of slots, for 16 GiB of addresses.
  private static let maxCount = 1 << 18
  /// Number of slots made usable at a time. valgrind scans all usable memory for pointers, which takes a minute for 16
  /// GiB.
  private static let step = 1 << 8

  /// Number of slots. Further buffers are allocated like other memory.
  let count: Int
  private let start: UInt
  private let end: UInt
  private let state = Mutex(State())
  private struct State {
    var given = 0
    var usable = 0
    /// Freed slots. The slot that was freed last is used first.
    var free = [UInt]()
  }

  init() {
    // A process whose addresses are limited keeps most of them for other memory.
    var count = min(Slots.maxCount, Int(clamping: shim_address_limit()) / 4 / Slots.size)
    var region: UnsafeMutableRawPointer?
    while count >= Slots.step, unsafe region == nil {
      unsafe region = shim_reserve(count * Slots.size)
      if unsafe region == nil { count /= 2 }
    }
    self.count = unsafe region == nil ? 0 : count
    start = UInt(bitPattern: region)
    end = start + UInt(self.count * Slots.size)
  }

  var inUse: Int { state.withLock { $0.given - $0.free.count } }

  /// Does what realloc() does. Frees the memory when `size` is 0, as lws expects.
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
        let size = min(Slots.step, count - state.usable)
        guard unsafe shim_make_usable(step, size * Slots.size) == 0 else { return nil }
        state.usable += size
      }
      state.given += 1
      return slot
    }
  }
}

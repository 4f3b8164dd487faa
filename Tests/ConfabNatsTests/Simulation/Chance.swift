/// Random numbers from a seed: SplitMix64.
struct Chance: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func hits(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &self) < probability }

  mutating func time(_ range: ClosedRange<Double>) -> Duration { .seconds(Double.random(in: range, using: &self)) }

  mutating func pick<Element>(_ elements: [Element]) -> Element? { elements.randomElement(using: &self) }
}

/// Virtual time: runs scheduled actions in order.
final class Timeline {
  private struct Entry {
    let at: Duration
    let number: Int
    let action: () -> Void

    func isBefore(_ other: Entry) -> Bool { (at, number) < (other.at, other.number) }
  }

  private(set) var now = Duration.zero
  private(set) var steps = 0
  /// A heap: each entry precedes those at twice its index and one more, counted from 1.
  private var entries: [Entry] = []

  func schedule(after delay: Duration, _ action: @escaping () -> Void) {
    steps += 1
    entries.append(Entry(at: now + delay, number: steps, action: action))
    var index = entries.count - 1
    while index > 0, entries[index].isBefore(entries[(index - 1) / 2]) {
      entries.swapAt(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  /// Drops all actions.
  func end() { entries = [] }

  /// Runs all actions scheduled before `end`, while `goesOn` is true.
  func run(until end: Duration, while goesOn: () -> Bool) {
    while let first = entries.first, first.at <= end, goesOn() {
      removeFirst()
      now = first.at
      first.action()
    }
    now = end
  }

  private func removeFirst() {
    entries[0] = entries[entries.count - 1]
    entries.removeLast()
    var index = 0
    while true {
      let children = (2 * index + 1...2 * index + 2).filter { $0 < entries.count }
      guard let child = children.min(by: { entries[$0].isBefore(entries[$1]) }), entries[child].isBefore(entries[index])
      else { return }
      entries.swapAt(index, child)
      index = child
    }
  }
}

/// The decisions of one run, and their source.
///
/// A run is a function of its choices, so the list of them repeats it.
struct Choices {
  private enum Source {
    /// Random numbers.
    case random(SplitMix)
    /// A list, followed by zeros.
    case list([UInt32])
  }
  private var source: Source
  /// The choices so far, each with its number of alternatives.
  private(set) var made: [(choice: UInt32, count: UInt32)] = []

  init(seed: UInt64) { source = .random(SplitMix(seed)) }
  init(_ list: [UInt32]) { source = .list(list) }

  /// Whether the list is used up. Always false for random numbers.
  var isExhausted: Bool {
    if case .list(let list) = source { made.count >= list.count } else { false }
  }

  /// Returns a number below `count`.
  mutating func next(_ count: UInt32) -> UInt32 {
    var choice: UInt32 = 0
    switch source {
    case .random(var numbers):
      choice = UInt32(truncatingIfNeeded: numbers.next() >> 33) % count
      source = .random(numbers)
    case .list(let list):
      if made.count < list.count { choice = list[made.count] % count }
    }
    made.append((choice, count))
    return choice
  }

  /// Returns the list after the made one, in depth-first order, among those with at most `limit` choices other than 0;
  /// nil after the last one.
  func successor(limit: Int) -> [UInt32]? {
    var list = made.map(\.choice)
    var surprises = list.count { $0 != 0 }
    while let last = list.popLast() {
      if last != 0 { surprises -= 1 }
      if last + 1 < made[list.count].count && surprises < limit { return list + [last + 1] }
    }
    return nil
  }
}

/// The random numbers of Steele, Lea and Flood, "Fast splittable pseudorandom number generators".
struct SplitMix {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

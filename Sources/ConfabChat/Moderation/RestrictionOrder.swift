/// Ids of restrictions by their ends. The one that ends last is the first.
struct RestrictionOrder {
  struct Entry: Equatable {
    /// Milliseconds since 1970. The maximum means never.
    let until: Int64
    let id: String

    init(_ restriction: Restriction) { (until, id) = (restriction.until ?? .max, restriction.id) }

    func isBefore(_ other: Entry) -> Bool { until == other.until ? id < other.id : until > other.until }
  }

  private var entries: [Entry] = []

  var count: Int { entries.count }
  var isEmpty: Bool { entries.isEmpty }
  /// The restriction that ends last.
  var first: Entry? { entries.first }
  /// The restriction that ends first.
  var last: Entry? { entries.last }

  mutating func insert(_ restriction: Restriction) {
    let entry = Entry(restriction)
    entries.insert(entry, at: index(of: entry))
  }

  mutating func remove(_ restriction: Restriction) {
    let entry = Entry(restriction)
    let index = index(of: entry)
    if index < entries.count, entries[index] == entry { entries.remove(at: index) }
  }

  /// Returns the number of entries before an entry.
  private func index(of entry: Entry) -> Int {
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].isBefore(entry) { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

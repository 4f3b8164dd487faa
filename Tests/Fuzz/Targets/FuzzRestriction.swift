@testable import Confab

@testable import ConfabChat

/// Parses restrictions, as they come from a history file or a stream, and networks. Depending on its first byte, the
/// input is one or the other.
func fuzzRestriction(_ input: inout Input) {
  let kind = input.byte()
  let bytes = input.remaining()
  if kind % 2 == 0 { return checkNetwork(String(decoding: bytes, as: UTF8.self)) }
  guard let restriction = Restriction(json: bytes) else { return }
  require(Restriction(json: restriction.json) == restriction, "\(restriction) is read otherwise")
  require(restriction.id.utf8.count == 32 && restriction.json.count <= Restriction.maxBytes, "\(restriction)")
  var table = RestrictionTable()
  table.apply(.set(restriction))
  table.removeEnded(now: 0)
  table.apply(.lift(id: restriction.id))
  require(table.restrictions.isEmpty, "\(restriction) stays")
}

/// A network is read the same after it is written, and contains its own addresses only.
private func checkNetwork(_ text: String) {
  guard let range = AddressRange(text) else { return }
  require(AddressRange(range.description) == range, "\(text) is written as \(range)")
  require(range.contains(range) && range.prefix(0).contains(range), "\(range) is not in itself")
  require(0...(range.isIPv4 ? 32 : 128) ~= range.bits, "\(range) has \(range.bits) bits")
}

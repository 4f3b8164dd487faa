internal import Confab

/// A network of clients: an IPv4 or IPv6 address, or the addresses with one prefix. An IPv4-mapped IPv6 address counts
/// as IPv4.
public struct Network: Hashable, Sendable, CustomStringConvertible {
  let range: AddressRange

  /// Shortest prefixes, in bits. Shorter ones would contain many providers at once.
  private static let (leastIPv4, leastIPv6) = (8, 16)

  /// Parses an address or a prefix, such as `192.0.2.7`, `192.0.2.0/24` or `2001:db8::/48`.
  ///
  /// - Throws: ``ChatError/Code/networkInvalid`` if the text is malformed, or if the prefix has less than 8 bits of
  ///   IPv4, or 16 of IPv6.
  public init(_ text: String) throws(ChatError) {
    guard let range = AddressRange(text) else {
      throw ChatError(.networkInvalid, "the network must be like 192.0.2.7, 192.0.2.0/24 or 2001:db8::/48")
    }
    guard range.bits >= (range.isIPv4 ? Network.leastIPv4 : Network.leastIPv6) else {
      let least = "\(Network.leastIPv4) bits of IPv4, \(Network.leastIPv6) of IPv6"
      throw ChatError(.networkInvalid, "the prefix of the network must have at least \(least)")
    }
    self.range = range
  }

  /// Creates the smallest network that contains all addresses of one client: its IPv4 address, or the /64 of its IPv6
  /// address.
  init(ofClientAt address: AddressRange) { range = address.isIPv4 ? address : address.prefix(64) }

  /// The form that ``init(_:)`` parses.
  public var description: String { range.description }
}

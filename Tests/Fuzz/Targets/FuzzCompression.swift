@testable import Confab

/// Parses offers of extensions, and inflates and deflates messages. The input is a line of offers, then bytes to
/// inflate and deflate.
func fuzzCompression(_ input: inout Input) {
  let limit = 1 + Int(input.byte()) * 16
  checkOffers(input.line())
  let bytes = input.remaining()
  let expanded = inflated(bytes, limit)
  require(expanded == inflated(bytes, limit), "expanded once more it is something else: \(bytes)")
  require(expanded?.count ?? 0 <= limit, "more than \(limit) bytes")
  for message in [bytes, expanded ?? []] {
    for compression in Compression.allCases {
      guard let payload = Message(.binary, message.span).deflated(compression) else { continue }
      require(payload.count < message.count, "longer than before")
      require(inflated(payload, message.count) == message, "\(message) does not come back")
    }
  }
}

/// If the server accepts an offer, lws can take one of them. Positions are within the header.
private func checkOffers(_ header: String) {
  let taken = Upgrade.takenOffer(in: header)
  require((taken?.end ?? 0) <= header.utf8.count, "'\(header)' has an end at \(taken?.end ?? 0)")
  guard Compression(offers: header) != nil else { return }
  require(taken != nil, "lws finds no offer in '\(header)'")
  require(header.contains(Compression.name), "'\(header)' offers nothing")
}

nonisolated(unsafe) private let inflater = Inflater()
private func inflated(_ payload: [UInt8], _ limit: Int) -> [UInt8]? { try? inflater.inflate(payload, limit: limit) }

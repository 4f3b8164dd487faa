import Testing

@testable import Confab

struct CompressionTests {
  @Test(arguments: [
    ("permessage-deflate", Compression.wide),
    ("permessage-deflate; client_max_window_bits; server_max_window_bits=15", .wide),
    ("permessage-deflate; server_max_window_bits=9", .narrow),
    ("permessage-deflate;server_max_window_bits = \"14\" ;client_no_context_takeover", .narrow),
    ("other, permessage-deflate; unknown, permessage-deflate; server_max_window_bits=12", .narrow),
    ("permessage-deflate; server_max_window_bits=8", nil),
    ("permessage-deflate; server_max_window_bits=+9", nil),
    ("permessage-deflate; server_max_window_bits=9; server_max_window_bits=9", nil),
    ("permessage-deflate; client_max_window_bits=16", nil),
    ("permessage-deflate;", nil),
    ("Permessage-Deflate", nil),
    ("", nil),
  ])
  func acceptsTheFirstSupportedOffer(_ offers: String, _ expected: Compression?) {
    #expect(Compression(offers: offers) == expected)
  }

  @Test func lwsTakesTheFirstOfferWithParametersOrTheLast() {
    func taken(_ header: String) -> [Int]? { Upgrade.takenOffer(in: header).map { [$0.index, $0.end] } }
    #expect(taken("permessage-deflate") == [0, 18])
    #expect(taken("permessage-deflate, other; x, permessage-deflate; y=1, permessage-deflate") == [1, 53])
    #expect(taken("permessage-deflate,permessage-deflate") == [1, 37])
    #expect(taken("permessage-deflates") == nil)
  }

  /// Compressible text, larger than every window.
  private let text = Array((0..<20_000).map { "line \($0 % 700): the quick brown fox\n" }.joined().utf8)

  private func deflated(_ bytes: [UInt8], _ compression: Compression = .wide) -> [UInt8]? {
    Message(.binary, bytes.span).deflated(compression)
  }

  @Test(arguments: Compression.allCases) func inflatesWhatItDeflates(_ compression: Compression) throws {
    let inflater = Inflater()
    for count in [200, 1000, 16_384, 16_385, text.count] {
      let bytes = Array(text[..<count])
      let payload = try #require(deflated(bytes, compression))
      #expect(payload.count < count)
      #expect(try inflater.inflate(payload, limit: count) == bytes)
      #expect(throws: InflateError.tooBig) { try inflater.inflate(payload, limit: count - 1) }
    }
  }

  @Test func doesNotCompressWhatWouldGrow() {
    var random = SystemRandomNumberGenerator()
    let noise = (0..<5000).map { _ in UInt8.random(in: 0...255, using: &random) }
    #expect(deflated(noise) == nil)
    let short = [UInt8](repeating: 0, count: Message.minCompressedSize - 1)
    #expect(deflated(short) == nil)
  }

  @Test func detectsEveryTruncation() throws {
    let bytes = Array(text[..<500])
    let payload = try #require(deflated(bytes))
    let inflater = Inflater()
    for count in 1..<payload.count {
      #expect(throws: InflateError.notDeflate) { try inflater.inflate(Array(payload[..<count]), limit: 1 << 20) }
    }
    #expect(try inflater.inflate(payload, limit: 1 << 20) == bytes)
  }
}

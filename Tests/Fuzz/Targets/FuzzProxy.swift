@testable import Confab

/// Parses a PROXY header in one piece and byte by byte, with equal results, and nothing behind it. An X-Forwarded-For
/// list cannot hide the address that the proxy appends, and yields only numeric addresses.
func fuzzProxy(_ input: inout Input) {
  let list = input.line()
  require(
    [AddressRange("10.0.0.0/8")!].client(forwardedFor: list + ", 192.0.2.7")?.host == "192.0.2.7",
    "'\(list)' hides what the proxy has added")
  if let client = [AddressRange("10.0.0.0/8")!].client(forwardedFor: list) {
    require(SocketAddress(numeric: client.host, port: 0) != nil, "'\(list)' is of \(client)")
  }
  let bytes = input.remaining()
  let whole = read(bytes, inPiecesOf: .max)
  require(whole == read(bytes, inPiecesOf: 1), "in pieces something else: \(bytes)")
}

private func read(_ bytes: [UInt8], inPiecesOf size: Int) -> [String] {
  var header = ProxyHeader()
  var rest = bytes[...]
  while case .needs(let count) = header.state, !rest.isEmpty {
    require(count > 0 && count <= 2 * ProxyHeader.maxLength, "needs \(count)")
    header.append(Array(rest.prefix(min(count, size))).span)
    rest = rest.dropFirst(min(count, size))
  }
  switch header.state {
  case .needs(let count): return ["needs \(count)"]
  case .whole(let client): return [client?.endpoint ?? "nobody", "\(rest.count)"]
  // The pieces decide how much was read when the error is found, and which error is found first.
  case .malformed: return ["malformed"]
  }
}

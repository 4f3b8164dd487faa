@testable import Confab

/// Parses a request in one piece and byte by byte, with equal results. An accepted path parses as itself again, values
/// have no line breaks, and the rest of the input is left. Also evaluates a file's conditions with arbitrary values.
func fuzzRequest(_ input: inout Input) {
  let bytes = input.remaining()
  let whole = read(bytes, inPiecesOf: .max)
  let pieces = read(bytes, inPiecesOf: 1)
  require(whole == pieces, "\(whole) and in pieces \(pieces)")
}

private func read(_ bytes: [UInt8], inPiecesOf size: Int) -> [String] {
  var parser = RequestParser(limit: 4096)
  var found: [String] = []
  var rest = bytes[...]
  while found.count < 10 {
    do throws(RequestError) {
      if let request = try parser.next() {
        found.append(describe(request))
        continue
      }
    } catch {
      return found + ["rejected: \(error.detail)"]
    }
    if rest.isEmpty { break }
    parser.append(Array(rest.prefix(size)).span)
    rest = rest.dropFirst(size)
  }
  let left = parser.takeRest() + rest
  require(bytes.suffix(left.count).elementsEqual(left), "\(left) is not what follows")
  return found + ["\(left.count) bytes are left"]
}

private func describe(_ request: HttpRequest) -> String {
  let path = request.target.path
  require(path.utf8.first == UInt8(ascii: "/") && !path.utf8.contains(0), "the path '\(path)'")
  require(
    !path.utf8.split(separator: UInt8(ascii: "/")).contains {
      $0.elementsEqual(".".utf8) || $0.elementsEqual("..".utf8)
    },
    "a dot segment in '\(path)'")
  do throws(RequestError) {
    let again = try RequestTarget(Array(request.target.encoded.utf8)[...])
    require(again.path.utf8.elementsEqual(path.utf8), "'\(path)' becomes '\(again.path)'")
  } catch {
    require(false, "'\(path)' becomes '\(request.target.encoded)'")
  }
  for (name, value) in request.fields.all {
    require(name.isToken && !value.utf8.contains { [0, 10, 13].contains($0) }, "the field '\(name): \(value)'")
    require(request.fields[name] != nil, "no '\(name)'")
  }
  let validators = Validators(tag: "abc", modified: HttpDate(seconds: 1_000_000_000))
  if let date = request.fields["if-modified-since"].flatMap(HttpDate.init) {
    require(HttpDate(date.text) == date, "\(date.seconds) becomes '\(date.text)'")
  }
  return "\(request) \(request.keepsAlive) \(request.asksForWebSocket) \(validators.evaluate(request.fields)) "
    + "\((try? request.body()).map { "\($0)" } ?? "a wrong body") \(request.target.query)"
}

// Reads raw requests from standard input, each after its length in four bytes, and writes one line for each: the result
// of the server's parser. test_differential.py compares it with h11's.

import Confab
import Glibc

func read(_ count: Int, from input: UnsafeMutablePointer<FILE>) -> [UInt8]? {
  var bytes = [UInt8](repeating: 0, count: count)
  return fread(&bytes, 1, count, input) == count ? bytes : nil
}

func hexadecimal(_ text: some StringProtocol) -> String {
  text.utf8.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

func describe(_ raw: [UInt8]) -> String {
  var parser = RequestParser(limit: 16 << 10)
  parser.append(raw.span)
  do {
    guard let request = try parser.next() else { return "incomplete" }
    let body =
      switch try request.body() {
      case .empty: "0"
      case .length(let length): length
      case .chunked: "chunked"
      }
    let fields = request.fields.all.map { "\(hexadecimal($0.name)):\(hexadecimal($0.value))" }.joined(separator: ",")
    return [
      "accepted", "\(request.method)", hexadecimal(request.target.path), hexadecimal(request.target.rawQuery ?? ""),
      body, "\(parser.takeRest().count)", fields,
    ].joined(separator: " ")
  } catch {
    return "rejected \(hexadecimal(error.detail))"
  }
}

let input = fdopen(STDIN_FILENO, "r")!
while let length = read(4, from: input) {
  guard let raw = read(length.reduce(0) { $0 << 8 | Int($1) }, from: input) else { break }
  print(describe(raw))
}

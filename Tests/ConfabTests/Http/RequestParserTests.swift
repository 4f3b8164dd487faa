import Testing

@testable import Confab

private func parse(_ text: String, limit: Int = 1000) throws(RequestError) -> HttpRequest? {
  var parser = RequestParser(limit: limit)
  parser.append(Array(text.utf8).span)
  return try parser.next()
}

struct RequestParserTests {
  @Test func readsRequestLineAndFields() throws {
    let request = try #require(
      try parse("GET /a%20b?x=1&y=a+b HTTP/1.1\r\nHost: h\r\nX-A:\t1 \r\nx-a:2\r\nEmpty:\r\n\r\n"))
    #expect(request.method == .get && request.minorVersion == 1)
    #expect(request.target.path == "/a b" && request.target.query == ["x=1", "y=a b"])
    #expect(request.fields["X-a"] == "1, 2" && request.fields["empty"] == "" && request.fields["none"] == nil)
    #expect(request.host == "h")
  }

  @Test(arguments: [
    "GET  / HTTP/1.1\r\n", " GET / HTTP/1.1\r\n", "GET /\r\n", "GET / HTTP/1.1 \r\n", "G(T / HTTP/1.1\r\n", "\u{16}",
    "GET / HTTP/2.0\r\n", "GET / HTTP/1.1\r\nA : 1\r\n", "GET / HTTP/1.1\r\nA\r\n", "GET / HTTP/1.1\r\n: 1\r\n",
    "GET / HTTP/1.1\r\nA: 1\r\n 2\r\n", "GET / HTTP/1.1\r\nA: \0", "GET / HTTP/1.1\r\nA: 1\rB",
    "GET / HTTP/1.1\r\nA: \u{B}",
    "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /%0 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET ftp://h/ HTTP/1.1\r\nHost: a\r\n\r\n",
  ])
  func rejectsAsSoonAsSomethingIsWrong(_ text: String) {
    #expect(throws: RequestError.self) { try parse(text) }
  }

  @Test func waitsForTheWholeSectionUpToTheLimit() throws {
    let text = "GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "x", count: 60))\r\n\r\n"
    for length in text.utf8.indices { #expect(try parse(String(text[..<length])) == nil) }
    #expect(try parse(text, limit: text.utf8.count) != nil)
    #expect(throws: RequestError("more than 90 bytes of headers", .headersTooLarge)) { try parse(text, limit: 90) }
  }

  @Test func readsPipelinedRequests() throws {
    var parser = RequestParser(limit: 1000)
    let requests = "\r\nGET /1 HTTP/1.0\n\nHEAD http://h:1/2?q HTTP/1.1\r\nHost: other\r\n\r\nrest"
    var paths: [String?] = []
    for byte in requests.utf8 {
      parser.append([byte].span)
      while let request = try parser.next() { paths += [request.target.path, request.host] }
    }
    #expect(paths == ["/1", nil, "/2", "h:1"])
    #expect(parser.takeRest().elementsEqual("rest".utf8) && !parser.hasBegun)
  }

  @Test(arguments: [
    ("/", "/"), ("/a/./b/../c", "/a/c"), ("/../..", "/"), ("//a//", "/a/"), ("/a/..", "/"), ("/%2e%2E/x", "/x"),
    ("*", "/"),
    ("/c++&d;e=f", "/c++&d;e=f"), ("/%E7%BE%A4", "群"), ("/%ff%FE", "/%FF%FE"), ("/%c3x", "/%C3x"), ("ws://h", "/"),
    ("HTTPS://[::1]:1?x", "/"),
  ])
  func decodesPaths(_ target: String, _ path: String) throws {
    let found = try RequestTarget(Array(target.utf8)[...]).path
    #expect(found.utf8.elementsEqual((path.utf8.first == UInt8(ascii: "/") ? path : "/" + path).utf8))
  }

  @Test(
    arguments: [
      ("", .empty), ("Content-Length: 0\r\n", .empty), ("Content-Length: 5\r\nContent-Length: 5\r\n", .length("5")),
      ("Transfer-Encoding: Chunked\r\n", .chunked),
      ("Content-Length: 5\r\nContent-Length: 6\r\n", nil), ("Content-Length: +5\r\n", nil),
      ("Content-Length:\r\n", nil),
      ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", nil), ("Transfer-Encoding: gzip, chunked\r\n", nil),
    ] as [(String, HttpRequest.Body?)])
  func reportsTheBodyLength(_ fields: String, _ body: HttpRequest.Body?) throws {
    let request = try #require(try parse("GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n"))
    #expect((try? request.body()) == body)
  }
}

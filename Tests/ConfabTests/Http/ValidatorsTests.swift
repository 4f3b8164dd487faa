import Testing

@testable import Confab

struct ValidatorsTests {
  @Test(
    arguments: [
      ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
      ("Sun Nov  6 08:49:37 1994", 784_111_777), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
      ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199), ("Mon, 28 Feb 2101 00:00:00 GMT", 4_138_992_000),
      ("", nil), ("Sun, 06 Nov 1994 08:49 GMT", nil), ("Sun, 06 Nov 1994 24:49:37 GMT", nil),
      ("Sun, 06 Now 1994 08:49:37 GMT", nil), ("Sun, 06 Nov 1994 08:49:37 CET", nil),
    ] as [(String, Int64?)])
  func readsDates(_ text: String, _ seconds: Int64?) {
    let date = HttpDate(text)
    #expect(date?.seconds == seconds)
    if let date { #expect(HttpDate(date.text) == date) }
  }

  @Test func writesDates() {
    #expect(HttpDate(seconds: 784_111_777).text == "Sun, 06 Nov 1994 08:49:37 GMT")
    #expect(HttpDate(seconds: -1).text == "Wed, 31 Dec 1969 23:59:59 GMT")
    #expect(HttpDate(seconds: .min).text == "Wed, 01 Jan 1000 00:00:00 GMT")
    #expect(HttpDate(seconds: .max).text == "Fri, 31 Dec 9999 23:59:59 GMT")
  }

  @Test(
    arguments: [
      ("if-none-match", "\"t\"", .notModified), ("if-none-match", "\"x\", W/\"t\"", .notModified),
      ("if-none-match", "*", .notModified),
      ("if-none-match", "\"x\"", .passed), ("if-none-match", "\"\"t\"\"", .notModified), ("if-none-match", "", .passed),
      ("if-match", "\"t\"", .passed), ("if-match", "W/\"t\"", .failed), ("if-match", "\"x\"", .failed),
      ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT", .notModified),
      ("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT", .passed), ("if-modified-since", "yesterday", .passed),
      ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:36 GMT", .failed),
      ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT", .passed),
    ] as [(String, String, Validators.Precondition)])
  func evaluatesConditions(_ name: String, _ value: String, _ expected: Validators.Precondition) {
    var fields = HeaderFields()
    let isTaken = fields.append(name: name.utf8, value: value.utf8)
    #expect(isTaken)
    #expect(Validators(tag: "t", modified: HttpDate(seconds: 784_111_777)).evaluate(fields) == expected)
  }
}

import Testing

@testable import ConfabChat

struct NameTests {
  @Test(arguments: [
    ("Ann", "Ann"), ("  Ann \t Lee\n", "Ann Lee"), ("李雷", "李雷"), ("e\u{301}", "é"), ("\u{1100}\u{1161}", "가"),
    ("👩‍🚀", "👩‍🚀"), ("❤️", "❤️"), ("1️⃣", "1️⃣"), ("می‌خواهم", "می‌خواهم"), ("ශ්‍රී", "ශ්‍රී"), ("葛󠄀", "葛󠄀"),
    ("O'Neil (x)", "O'Neil (x)"), ("\u{3000}全角\u{3000}名\u{3000}", "全角 名"),
    (String(repeating: "x", count: 32), String(repeating: "x", count: 32)),
    (String(repeating: "👍🏽", count: 16), String(repeating: "👍🏽", count: 16)),
  ])
  func namesAreNormalised(_ text: String, _ expected: String) {
    #expect(Name(text, limit: 32).map { Array($0.text.unicodeScalars) } == Array(expected.unicodeScalars))
  }

  @Test(arguments: [
    "", " ", "\u{200B}", "\u{200D}", "\u{200C}", "a\u{202E}b", "a\u{2066}b", "\u{FEFF}a", "a\u{0}b", "a\u{7F}b",
    "a\u{AD}b",
    "\u{E000}", "\u{F0000}", "\u{0378}", "\u{3164}", "\u{115F}", "\u{301}", "a\u{200D}b",
    "\u{FE0F}",
    "\u{2800}", "a\u{2800}", "\u{1D159}", "\u{FFA0}", "a\u{3164}", "\u{13441}",
    "a\u{2060}b", "🏴\u{E0067}\u{E007F}", "a\u{034F}b", String(repeating: "x", count: 33),
    "a" + String(repeating: "\u{301}", count: 65), String(repeating: " ", count: 1024) + "a",
  ])
  func namesThatDeceiveOrAreTooLongAreNone(_ text: String) {
    #expect(Name(text, limit: 32) == nil)
  }

  @Test(arguments: [
    ("Ann", "ANN"), ("straße", "STRASSE"), ("Σίσυφος", "ΣΊΣΥΦΟΣ"), ("é", "E\u{301}"), ("Ann", "A\u{200C}nn"),
    ("❤", "❤\u{FE0F}"), ("Åsa", "\u{212B}sa"), ("Ａｎｎ", "Ann"), ("ﬁn", "FIN"), ("𝐀𝐧𝐧", "ann"), ("Ⅳ", "iv"), ("ｱﾝ", "アン"),
    ("Ann²", "Ann2"), ("ſam", "SAM"), ("K", "\u{212A}"),
  ])
  func namesThatLookTheSameHaveOneKey(_ one: String, _ other: String) throws {
    let (one, other) = (try #require(Name(one, limit: 32)), try #require(Name(other, limit: 32)))
    #expect(one.key == other.key)
  }

  @Test func namesThatDifferHaveTheirOwnKeys() throws {
    let keys = ["Ann", "Anna", "An n", "Änn", "안", "李"].compactMap { Name($0, limit: 32)?.key }
    #expect(Set(keys).count == 6)
  }

  @Test(arguments: [
    ("Ann", 2, "Ann2"), ("Ann2", 3, "Ann3"), ("Ann99", 2, "Ann2"), ("7", 2, "72"), ("2026", 2, "22"),
    (String(repeating: "x", count: 32), 12, String(repeating: "x", count: 30) + "12"),
    (String(repeating: "👩‍🚀", count: 11), 2, String(repeating: "👩‍🚀", count: 11) + "2"),
    (String(repeating: "語", count: 32), 123, String(repeating: "語", count: 29) + "123"),
  ])
  func aNumberIsPutBehindIt(_ text: String, _ number: Int, _ expected: String) throws {
    #expect(try #require(Name(text, limit: 32)).numbered(number)?.text == expected)
  }
}

struct TextTests {
  @Test(arguments: [
    ("hello", "hello"), ("a\r\nb\tc", "a\nb\tc"), ("a\u{0}\u{1B}[31m\u{85}", "a[31m"), (" x ", " x "),
    (String(repeating: "👩‍🚀", count: 10), String(repeating: "👩‍🚀", count: 10)),
  ])
  func textsHaveNoControlCharacters(_ text: String, _ expected: String) throws {
    #expect(try Text(text, limit: 10).text == expected)
  }

  @Test(arguments: ["", " ", "\n\t ", "\u{3000}", "\u{200B}\u{FEFF}", "\u{0}\u{7}"])
  func blankTextsAreNone(_ text: String) {
    #expect(throws: Text.Invalid.empty) { try Text(text, limit: 10) }
  }

  @Test(arguments: [String(repeating: "x", count: 11), "e" + String(repeating: "\u{301}", count: 80)])
  func longTextsAreRejected(_ text: String) {
    #expect(throws: Text.Invalid.tooLong) { try Text(text, limit: 10) }
  }

  @Test func tags() {
    for tag in ["a", "A-Z_09", String(repeating: "x", count: 64)] { #expect(Tag(tag)?.text == tag) }
    for tag in ["", "ä", "a b", "a\n", String(repeating: "x", count: 65)] { #expect(Tag(tag) == nil) }
  }
}

import Testing

@testable import ConfabChat

struct SessionTests {
  @Test func sessionsAreReadAsTheyAreWritten() throws {
    let session = Session(in: "/")
    #expect(session.text.utf8.count == 48)
    let again = try #require(Session(session.text, in: "/"))
    #expect(again.isSame(as: session) && again.text == session.text)
    #expect(!Session(in: "/").isSame(as: session))
  }

  @Test func everyDigitCounts() throws {
    let session = Session(in: "/")
    for index in 0..<48 {
      var digits = Array(session.text)
      digits[index] = digits[index] == "0" ? "1" : "0"
      let other = try #require(Session(String(digits), in: "/"))
      #expect(!other.isSame(as: session) && other.member != session.member)
    }
  }

  @Test func membersAreReadAsTheyAreWritten() {
    for number in [0, 1, 0xfedc_ba98_7654_3210, UInt64.max] {
      let member = Member(number: number)
      #expect(
        member.text.utf8.count == 16 && Member(member.text) == member && Member(bytes: member.bytes[...]) == member)
    }
    for text in ["", "1", "+000000000000001", "-000000000000001", "g000000000000000", "00000000000000000"] {
      #expect(Member(text) == nil)
    }
  }

  @Test(arguments: ["", "x", String(repeating: "g", count: 48), String(repeating: "ä", count: 24)])
  func whatIsNoSessionIsNone(_ text: String) {
    #expect(Session(text, in: "/") == nil)
  }
}

struct EventRateTests {
  private let start = ContinuousClock.now

  @Test func aBurstAndThenARate() {
    var rate = EventRate(rate: 10, burst: 3, now: start)
    for _ in 0..<3 { #expect(rate.take(now: start) == nil) }
    #expect(rate.take(now: start) == 100)
    #expect(rate.take(now: start + .milliseconds(60)) == 40)
    #expect(rate.take(now: start + .milliseconds(101)) == nil)
    #expect(rate.take(now: start + .seconds(3600)) == nil)
    for _ in 0..<2 { #expect(rate.take(now: start + .seconds(3600)) == nil) }
    #expect(rate.take(now: start + .seconds(3600)) != nil)
  }

  @Test func answersCostMore() {
    var rate = EventRate(rate: 10, burst: 3, now: start)
    #expect(rate.take(now: start) == nil)
    rate.charge(8)
    #expect(rate.take(now: start) == 700)
  }

  @Test func zeroIsNoLimitAndTheClockMayStandStill() {
    var minutely = EventRate(rate: 30, per: .seconds(60), burst: 1, now: start)
    #expect(minutely.take(now: start) == nil && minutely.take(now: start + .seconds(1)) == 1000)
    #expect(minutely.take(now: start + .seconds(2)) == nil)
    var rate = EventRate(rate: 0, burst: 1, now: start)
    for _ in 0..<1000 { #expect(rate.take(now: start) == nil) }
    rate.charge(1000)
    #expect(rate.take(now: start) == nil)
    var slow = EventRate(rate: 1, burst: 1, now: start)
    #expect(slow.take(now: start - .seconds(5)) == nil)
    #expect(slow.take(now: start - .seconds(5)) == 1000)
  }
}

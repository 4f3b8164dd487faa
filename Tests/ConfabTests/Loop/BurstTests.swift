import Testing

@testable import Confab

struct BurstTests {
  @Test func turnWithoutEventsEndsTheBurst() {
    var burst = Burst()
    var answers = [burst.goesOn()]
    burst.note(10)
    answers += [burst.goesOn(), burst.goesOn(), burst.goesOn()]
    #expect(answers == [false, true, false, false])
  }

  /// A turn reads at most five times before it writes, however much there is to read.
  @Test(arguments: [1, 1000, 100_000])
  func oneTurnPollsUpToALimit(_ size: Int) {
    var burst = Burst()
    var turns = 0
    repeat {
      turns += 1
      burst.note(size)
    } while burst.goesOn()
    #expect(turns <= 5)
  }
}

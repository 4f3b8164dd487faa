import Testing

@testable import Confab

struct BurstTests {
  private final class Reader {}

  @Test func aShortReadEndsTheTurn() {
    var burst = Burst<Reader>(receiveBufferSize: 1000)
    burst.note(300, Reader())
    burst.note(400, Reader())
    #expect(burst.next().isEmpty)
  }

  /// Frames of 70 bytes: 14 fit into 1016 bytes, and the beginning of another one is not told.
  @Test func aReadThatFilledTheBufferIsFollowedByAnother() {
    var burst = Burst<Reader>(receiveBufferSize: 1000)
    let (full, short) = (Reader(), Reader())
    for _ in 0..<14 { burst.note(64, full) }
    for _ in 0..<13 { burst.note(64, short) }
    #expect(burst.next().map(ObjectIdentifier.init) == [ObjectIdentifier(full)])
    burst.note(64, full)
    #expect(burst.next().isEmpty)
  }

  @Test func aPieceOfALargeFrameIsFollowedByAnother() {
    var burst = Burst<Reader>(receiveBufferSize: 1000)
    let reader = Reader()
    burst.note(1000, reader)
    #expect(burst.next().count == 1)
  }

  @Test func aTurnThatBroughtNothingEndsTheBurst() {
    var burst = Burst<Reader>(receiveBufferSize: 1000)
    var answers = [burst.goesOn()]
    burst.note(10, Reader())
    answers += [burst.goesOn(), burst.goesOn(), burst.goesOn()]
    #expect(answers == [false, true, false, false])
  }

  /// However much there is to read, what has come is written in the end.
  @Test(arguments: [1, 1000, 100_000])
  func oneTurnReadsUpToALimit(_ size: Int) {
    var burst = Burst<Reader>(receiveBufferSize: 128)
    let reader = Reader()
    var rounds = 0
    repeat {
      rounds += 1
      for _ in 0..<max(1, 200 / size) { burst.note(size, reader) }
    } while !burst.next().isEmpty || burst.goesOn()
    #expect(rounds <= 5 * 65)
    let goesOn = burst.goesOn()
    #expect(!goesOn)
  }
}

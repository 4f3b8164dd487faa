import Confab
import Testing

@testable import ConfabChat
@testable import ConfabNats

struct PresenceExchangeTests {
  private final class TestRoom: RoomDelegate {
    func opened(_ snapshot: RoomSnapshot) {}
    func epochChanged(_ epoch: String) {}
    func published(_ publications: [Publication]) {}
    func rejected(_ drafts: [Draft]) {}
    func availabilityChanged(_ isAvailable: Bool) {}
    func presence(unless version: Int) -> (presence: ServerPresence, version: Int)? { nil }
    func presenceChanged(on server: String, to presence: ServerPresence) {}
    func typed(_ name: String) {}
  }

  @Test func only_rooms_with_news_are_asked() {
    var presenceExchange = PresenceExchange("me", prefix: "p")
    var now = ContinuousClock.now
    var effects = Effects()
    for number in 0..<100 { presenceExchange.open(number, "room\(number)", TestRoom(), &effects) }
    func tick(after delay: Duration = .milliseconds(250)) -> (asked: [Int], told: Int) {
      now += delay
      var effects = Effects()
      presenceExchange.tick(now, &effects)
      let asked = effects.calls.compactMap { if case .queryPresence(_, let number, _) = $0 { number } else { nil } }
      return (asked, effects.actions.count)
    }
    #expect(tick().asked == Array(0..<100))
    for number in 0..<100 {
      presenceExchange.report(number, number < 10 ? ServerPresence(members: [], count: 1) : .none, 1, now, &effects)
    }
    #expect(tick() == ([], 0))
    presenceExchange.changed(3)
    presenceExchange.changed(50)
    presenceExchange.changed(1000)
    #expect(tick() == ([3, 50], 0))
    // Known members are reported again without a query.
    #expect(tick(after: .seconds(4)) == ([], 10))
    #expect(tick(after: .seconds(4)) == ([], 10))
    presenceExchange.close(5, &effects)
    #expect(tick(after: .seconds(4)) == ([], 9))
  }
}

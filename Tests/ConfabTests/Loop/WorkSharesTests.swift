import Testing

@testable import Confab

struct WorkSharesTests {
  private func parts(of owners: DeliveryOwners, _ time: UInt64 = 1_000_000) -> [Int: UInt64] {
    var parts: [Int: UInt64] = [:]
    owners.split(time) { parts[$0, default: 0] += $1 }
    return parts
  }

  @Test func deliveries_are_charged_by_the_bytes_of_each_address() {
    var owners = DeliveryOwners()
    owners.add(1, 1 << 20)
    for _ in 0..<10 { owners.add(2, 100) }
    let parts = parts(of: owners)
    #expect(parts[1]! > 998_000 && parts[2]! < 2000 && parts[1]! + parts[2]! <= 1_000_000)
  }

  @Test func exempt_senders_leave_their_part_uncharged() {
    var owners = DeliveryOwners()
    owners.add(nil, 10_000)
    #expect(owners.isEmpty && parts(of: owners).isEmpty)
    owners.add(7, 100)
    #expect(parts(of: owners)[7]! < 20_000)
    owners.removeAll()
    #expect(owners.isEmpty)
    owners.add(7, 100)
    #expect(parts(of: owners) == [7: 1_000_000])
  }

  @Test func number_of_charged_addresses_is_bounded() {
    var owners = DeliveryOwners()
    for address in 0..<100 { owners.add(address, 100) }
    let parts = parts(of: owners)
    #expect(parts.count == 16 && parts.values.allSatisfy { $0 == 10_000 })
  }

  @Test func debt_is_paid_off_within_a_second_however_long_the_work_took() {
    var debt = WorkDebt(now: 0)
    debt.add(60_000_000_000, now: 60_000_000_000)
    let isTooMuchEarly = debt.isTooMuch(now: 60_500_000_000)
    let isTooMuchLater = debt.isTooMuch(now: 61_000_000_000)
    #expect(isTooMuchEarly && !isTooMuchLater)
  }
}

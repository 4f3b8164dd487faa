/// An HTTP date (RFC 9110, section 5.6.7): seconds since 1970 in UTC.
struct HttpDate: Equatable, Sendable {
  let seconds: Int64

  /// The times of the years 1000 to 9999, which the format can hold. Times of files may lie outside.
  private static let range: ClosedRange<Int64> = -30_610_224_000...253_402_300_799

  /// - Parameter seconds: times beyond the format's range become its nearest bound.
  init(seconds: Int64) { self.seconds = min(max(seconds, HttpDate.range.lowerBound), HttpDate.range.upperBound) }

  static var now: HttpDate { HttpDate(seconds: WallClock.milliseconds / 1000) }

  /// Reads `Sun, 06 Nov 1994 08:49:37 GMT`, and the two older formats.
  init?(_ text: String) {
    let words = text.utf8.split { " ,-".utf8.contains($0) }.map { String($0) ?? "" }
    // The third format has no time zone, and its year at the end.
    let isAsctime = words.count == 5
    guard isAsctime || (words.count == 6 && words[5] == "GMT") else { return nil }
    let (day, month, year, time) =
      isAsctime ? (words[2], words[1], words[4], words[3]) : (words[1], words[2], words[3], words[4])
    let clock = time.parts(separatedBy: ":").map { HttpDate.number(String($0), 2...2) }
    guard let day = HttpDate.number(day, 1...2), let month = HttpDate.months.firstIndex(of: month),
      var year = HttpDate.number(year, 2...4), clock.count == 3, let hour = clock[0], let minute = clock[1],
      let second = clock[2], 1...31 ~= day, hour < 24, minute < 60, second <= 60
    else { return nil }
    if year < 100 { year += year < 70 ? 2000 : 1900 }
    let days = HttpDate.days(year: year, month: month + 1, day: day)
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
  }

  var text: String {
    let (days, second) = (seconds - HttpDate.modulo(seconds, 86_400), HttpDate.modulo(seconds, 86_400))
    let day = days / 86_400
    let (year, month, date) = HttpDate.civil(day)
    let weekday = HttpDate.weekdays[Int(HttpDate.modulo(day + 4, 7))]
    func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(weekday), \(two(date)) \(HttpDate.months[Int(month) - 1]) \(year) "
      + "\(two(second / 3600)):\(two(second / 60 % 60)):\(two(second % 60)) GMT"
  }

  private static let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
  private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

  private static func number(_ text: String, _ digits: ClosedRange<Int>) -> Int64? {
    digits.contains(text.utf8.count) && text.utf8.allSatisfy { 48...57 ~= $0 } ? Int64(text) : nil
  }

  private static func modulo(_ value: Int64, _ divisor: Int64) -> Int64 {
    let rest = value % divisor
    return rest < 0 ? rest + divisor : rest
  }

  /// Returns the days from 1970 to a date of the Gregorian calendar. Years are counted from March, so a leap day is the
  /// last day.
  private static func days(year: Int64, month: Int, day: Int64) -> Int64 {
    let year = month > 2 ? year : year - 1
    let dayOfYear = Int64((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1
    return 365 * year + year / 4 - year / 100 + year / 400 + dayOfYear - 719_468
  }

  /// Returns the date that is a number of days after 1970 began.
  private static func civil(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
  }
}

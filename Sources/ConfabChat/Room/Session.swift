/// What proves that a new connection is the one who had a name before: a number to find the person by, and a secret that
/// cannot be guessed.
struct Session: Sendable {
  let id: UInt64
  private let secret: (UInt64, UInt64)

  /// A new one, from the system's source of random numbers.
  init() {
    var source = SystemRandomNumberGenerator()
    (id, secret) = (source.next(), (source.next(), source.next()))
  }

  /// Reads what ``text`` has written.
  init?(_ text: String) {
    guard text.utf8.count == 48 else { return nil }
    var numbers: [UInt64] = []
    var rest = text[...]
    while !rest.isEmpty {
      guard let number = UInt64(rest.prefix(16), radix: 16) else { return nil }
      numbers.append(number)
      rest = rest.dropFirst(16)
    }
    guard numbers.count == 3 else { return nil }
    (id, secret) = (numbers[0], (numbers[1], numbers[2]))
  }

  /// 48 hexadecimal digits.
  var text: String {
    [id, secret.0, secret.1].map { number in
      let digits = String(number, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }

  /// Compares all of the secret, so that the time it takes tells nothing.
  func isSame(as other: Session) -> Bool {
    (secret.0 ^ other.secret.0) | (secret.1 ^ other.secret.1) | (id ^ other.id) == 0
  }
}

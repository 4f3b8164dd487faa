internal import CConfab
internal import Confab
internal import ConfabChat

/// An error of a function of the header: its result and the text for `confab_last_error()`.
struct CError: Error {
  let code: confab_error
  let message: String

  init(_ code: confab_error, _ message: String) { (self.code, self.message) = (code, message) }

  init(_ error: ConfabError) {
    let code =
      switch error.code {
      case .invalidConfiguration: CONFAB_ERROR_CONFIGURATION
      case .unknownHost: CONFAB_ERROR_HOST
      case .addressInUse: CONFAB_ERROR_ADDRESS_IN_USE
      case .cannotListen: CONFAB_ERROR_LISTEN
      case .invalidCertificate: CONFAB_ERROR_CERTIFICATE
      case .alreadyStarted: CONFAB_ERROR_STATE
      case .forked: CONFAB_ERROR_FORKED
      case .historyUnusable: CONFAB_ERROR_HISTORY
      default: CONFAB_ERROR_LIBRARY
      }
    self.init(code, CError.settings.reduce(error.message) { $0.replacing($1.swift, with: $1.c) })
  }

  init(_ error: ChatError) {
    let code =
      switch error.code {
      case .textInvalid, .nameInvalid, .keyInvalid, .roomInvalid, .rejected: CONFAB_ERROR_ARGUMENT
      case .networkInvalid, .userInvalid, .timeInvalid: CONFAB_ERROR_ARGUMENT
      case .tooManyRestrictions: CONFAB_ERROR_RESTRICTIONS
      case .restrictionGone: CONFAB_ERROR_NOT_FOUND
      case .tooManyRooms: CONFAB_ERROR_ROOMS
      case .tooManyPending: CONFAB_ERROR_PENDING
      case .unavailable: CONFAB_ERROR_UNAVAILABLE
      case .unknown: CONFAB_ERROR_UNKNOWN
      case .historyGone: CONFAB_ERROR_HISTORY_GONE
      case .epochChanged: CONFAB_ERROR_EPOCH
      }
    self.init(code, error.message)
  }

  /// Names of settings in Swift's error messages, with their names in the header.
  private static let settings: [(swift: String, c: String)] =
    Configuration.limits.map { ($0.name, $0.member) } + ChatOptions.limits.map { ($0.name, $0.member) }
    + ["allowedHosts", "allowedOrigins", "backlogMark", "proxyProtocol", "trustedProxies"].map { ($0, memberName($0)) }

  static func argument(_ message: String) -> CError { CError(CONFAB_ERROR_ARGUMENT, message) }
}

extension Limit {
  /// The limit's member of `confab_config`.
  var member: String {
    if case .time = value { memberName(name) + "_ms" } else { memberName(name) }
  }
}

/// Returns the header's name for a setting of the Swift API.
func memberName(_ name: String) -> String {
  name.reduce(into: "") { $0 += $1.isUppercase ? "_\($1.lowercased())" : "\($1)" }
}

extension OriginProcess {
  func checked() throws(CError) {
    do throws(ConfabError) { try check() } catch { throw CError(error) }
  }
}

/// Returns the result of `body`, or the code of its failure.
func result<Number: SignedInteger>(_ body: () throws(CError) -> Number) -> Number {
  do throws(CError) {
    return try body()
  } catch {
    LastError.set(error.message)
    return Number(error.code.rawValue)
  }
}

func result(_ body: () throws(CError) -> Void) -> Int32 {
  result { () throws(CError) in
    try body()
    return CONFAB_OK.rawValue
  }
}

/// Returns the result of `body`, or `none` if it fails.
func value<Value>(or none: Value, _ body: () throws(CError) -> Value) -> Value {
  do throws(CError) {
    return try body()
  } catch {
    LastError.set(error.message)
    return none
  }
}

/// The message of the last failure on each thread.
enum LastError {
  private static let last = ThreadText()

  static func set(_ message: String) { last.set(message) }

  static var text: UnsafePointer<CChar> { unsafe last.value ?? constant("") }
}

/// Returns a C string that is never freed.
func constant(_ text: StaticString) -> UnsafePointer<CChar> {
  unsafe UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
}

/// Reads a C string. Throws if it is NULL or not UTF-8.
func string(_ text: UnsafePointer<CChar>?, _ name: String) throws(CError) -> String {
  guard let text = unsafe text else { throw .argument("\(name) is NULL") }
  guard let string = unsafe String(validatingCString: text) else { throw .argument("\(name) is not UTF-8") }
  return string
}

/// Reads a text of `length` bytes. Throws if it is NULL or not UTF-8.
func string(_ text: UnsafePointer<CChar>?, _ length: Int) throws(CError) -> String {
  guard let text = unsafe UnsafeRawPointer(text) else { throw .argument("text is NULL") }
  guard (0...1 << 30).contains(length) else { throw .argument("length must be at most 2^30") }
  let bytes = unsafe UnsafeRawBufferPointer(start: text, count: length)
  guard let string = unsafe String(validating: bytes, as: UTF8.self) else { throw .argument("text is not UTF-8") }
  return string
}

/// Reads an array of C strings that ends with NULL.
func strings(_ list: UnsafePointer<UnsafePointer<CChar>?>?, _ name: String) throws(CError) -> [String] {
  var strings: [String] = []
  guard let list = unsafe list else { return strings }
  while let text = unsafe list[strings.count] { strings.append(try unsafe string(text, name)) }
  return strings
}

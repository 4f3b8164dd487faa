public import CConfab
internal import Confab
internal import ConfabChat

extension confab_config {
  /// Returns the chat's admission in this struct.
  func admission() throws(CError) -> Admission {
    let grace = unsafe token_grace_ms
    guard 0...86_400_000 ~= grace else {
      throw CError(CONFAB_ERROR_CONFIGURATION, "token_grace_ms must be 0 to 86400000, not \(grace)")
    }
    guard let admit = unsafe admit else {
      if unsafe token_cookie != nil { throw CError(CONFAB_ERROR_CONFIGURATION, "token_cookie needs admit") }
      return .open
    }
    // nonisolated(unsafe): the program is responsible for its pointer.
    nonisolated(unsafe) let data = unsafe admit_data
    var admission = Admission(onLoop: { request, token, loop in
      let view = RequestView(request, on: loop)
      return unsafe ProgramDecision.admission { handle in
        unsafe view.lend { request in
          guard let token else { return unsafe admit(handle, request, nil, data) }
          unsafe token.withCString { unsafe admit(handle, request, $0, data) }
        }
      }
    })
    admission.grace = .milliseconds(grace)
    if unsafe token_cookie != nil {
      let cookie = try unsafe string(token_cookie, "token_cookie")
      guard cookie.isToken else {
        throw CError(
          CONFAB_ERROR_CONFIGURATION, "token_cookie must be the name of a cookie, not '\(cookie.withoutControls)'")
      }
      admission.cookie = cookie
    }
    return admission
  }
}

@c @implementation
public func confab_identity_init(_ identity: UnsafeMutablePointer<confab_identity>?, _ size: Int) -> Int32 {
  result { () throws(CError) in
    var defaults = unsafe confab_identity()
    unsafe defaults.rights = Int32(Rights.member.rawValue)
    try unsafe confab_identity.write(defaults, to: identity, size)
  }
}

@c @implementation
public func confab_admit(_ admission: OpaquePointer?, _ identity: UnsafePointer<confab_identity>?) -> Int32 {
  result { () throws(CError) in
    let identity = try unsafe Identity(confab_identity.read(identity))
    try unsafe ProgramDecision.decide(admission, .admission(.admit(identity)))
  }
}

@c @implementation
public func confab_reject_admission(
  _ admission: OpaquePointer?, _ error: Int32, _ message: UnsafePointer<CChar>?
) -> Int32 {
  result { () throws(CError) in
    guard let code = admissionErrors[error] else {
      throw .argument("\(error) is not a value of enum confab_admission_error")
    }
    let text = try unsafe message == nil ? nil : string(message, "message")
    guard text.map({ 1...120 ~= $0.utf8.count }) ?? true else { throw .argument("message must have 1 to 120 bytes") }
    try unsafe ProgramDecision.decide(admission, .admission(.reject(AdmissionError(code, text))))
  }
}

private let admissionErrors: [Int32: AdmissionError.Code] = [
  Int32(CONFAB_ADMISSION_TOKEN_REQUIRED.rawValue): .tokenRequired,
  Int32(CONFAB_ADMISSION_TOKEN_INVALID.rawValue): .tokenInvalid,
  Int32(CONFAB_ADMISSION_TOKEN_EXPIRED.rawValue): .tokenExpired,
  Int32(CONFAB_ADMISSION_FORBIDDEN.rawValue): .forbidden, Int32(CONFAB_ADMISSION_UNAVAILABLE.rawValue): .unavailable,
]

extension Identity {
  /// Reads the program's struct.
  fileprivate init(_ identity: confab_identity) throws(CError) {
    let id = try unsafe string(identity.id, "id")
    guard 1...Identity.maxIDLength ~= id.utf8.count else {
      throw .argument("id must have 1 to \(Identity.maxIDLength) bytes, not \(id.utf8.count)")
    }
    let (rights, expires) = unsafe (identity.rights, identity.expires_ms)
    guard rights & ~Int32(Rights.member.union(.moderate).rawValue) == 0 else {
      throw .argument("rights must be values of enum confab_right, not \(rights)")
    }
    guard expires >= 0 else { throw .argument("expires_ms must not be negative, but is \(expires)") }
    var rooms: [RoomPattern] = []
    for text in try unsafe strings(identity.rooms, "a room") {
      guard let pattern = RoomPattern(text) else {
        throw .argument("a room must begin with '/' and have at most 1024 bytes: '\(text.withoutControls)'")
      }
      rooms.append(pattern)
    }
    self.init(
      id: id, name: try unsafe identity.name == nil ? nil : string(identity.name, "name"),
      rights: Rights(rawValue: UInt8(rights)), rooms: unsafe identity.rooms == nil ? [.all] : rooms,
      expires: expires == 0 ? nil : expires)
    isGuest = unsafe identity.is_guest != 0
  }
}

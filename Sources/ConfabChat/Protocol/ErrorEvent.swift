/// An error for a client of the rich protocol: the reason why its event was not carried out. ``RichConnection`` sends
/// these events, and makes some of them from errors of rooms, such as ``ChatRoom/NameTaken``. Calls of the Swift API
/// throw ``ChatError`` instead.
struct ErrorEvent: ServerEvent, Error {
  let code: Code
  let message: String
  var tag: String?
  var ref: String?
  /// The room of the event; nil if the event had none.
  var room: String?
  var proposal: String?
  /// Delay before a retry, in milliseconds.
  var retryAfter: Int?
  /// The mute or ban that is the reason.
  var restriction: Restriction?

  enum Code: String, CaseIterable {
    case nameTaken, nameInvalid, notIntroduced, alreadyIntroduced, malformed, unknownType, textTooLong, textEmpty
    case tagInvalid, rateLimited, historyGone, muted, banned, notFound, tooManyRestrictions
    case roomInvalid, notEntered, tooManyRooms
    case tokenRequired, tokenInvalid, tokenExpired, forbidden, unavailable
  }

  init(
    _ code: Code, _ message: String, tag: String? = nil, proposal: String? = nil, retryAfter: Int? = nil
  ) {
    (self.code, self.message, self.proposal, self.retryAfter) = (code, message, proposal, retryAfter)
    // A tag that is too long is invalid, and is not returned.
    self.tag = tag.flatMap { $0.utf8.count <= Tag.maxLength ? $0 : nil }
  }

  func write(to object: inout JSONWriter) {
    object.member("code", code.rawValue)
    object.member("message", message)
    object.member("proposal", proposal)
    object.member("reason", restriction?.reason)
    object.member("ref", ref)
    object.member("retryAfter", retryAfter)
    object.member("room", room)
    object.member("tag", tag)
    object.member("type", "error")
    object.member("until", restriction?.until.map { Int($0) })
  }
}

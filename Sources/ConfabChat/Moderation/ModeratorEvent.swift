internal import Confab

/// An event of a client with the right ``Rights/moderate``.
struct ModeratorEvent {
  enum Action: String {
    case kick, mute, ban, unmute, unban, restrictions

    /// The kind of restriction that the event makes or lifts.
    var kind: Restriction.Kind? {
      switch self {
      case .kick: .kick
      case .mute, .unmute: .mute
      case .ban, .unban: .ban
      case .restrictions: nil
      }
    }

    var lifts: Bool { self == .unmute || self == .unban }
  }

  /// The restrictions that the event is about.
  enum Subject {
    case name(String)
    case member(Member)
    case restriction(String)
  }

  let action: Action
  /// Nil for a list.
  let subject: Subject?
  /// Time in milliseconds; nil means no end.
  let duration: Int?
  let reason: String?
  /// The restriction after which a list begins.
  let after: String?

  init(_ action: Action, _ object: JSONObject<ClientEvent.Key>) throws(WrongJSONType) {
    self.action = action
    (duration, reason) = (try object.number(.for), try object.text(.reason))
    after = action == .restrictions ? try object.text(.after) : nil
    let (name, member) = (try object.text(.name), try object.text(.member))
    let restriction = action.lifts ? try object.text(.restriction) : nil
    if let duration, duration <= 0 { throw WrongJSONType() }
    switch (name, member, restriction) {
    case (nil, nil, nil) where action == .restrictions: subject = nil
    case (let name?, nil, nil): subject = .name(name)
    case (nil, let text?, nil):
      guard let member = Member(text) else { throw WrongJSONType() }
      subject = .member(member)
    case (nil, nil, let id?): subject = .restriction(id)
    default: throw WrongJSONType()
    }
  }

  /// Returns the time at which a restriction ends: milliseconds since 1970. Nil means never. Times after the year 9999
  /// also count as never.
  ///
  /// - Parameter limit: maximum time; nil means no limit.
  func until(now: Int64, limit: Duration?) -> Int64? {
    let time = [duration.map { Int64($0) }, limit?.milliseconds].compactMap { $0 }.min()
    guard let (end, isPast) = time.map({ now.addingReportingOverflow($0) }) else { return nil }
    return isPast || !Position.times.contains(end) ? nil : end
  }
}

/// Response to an event of a moderator that was carried out.
struct ModeratedEvent: ServerEvent {
  let action: ModeratorEvent.Action
  let restriction: Restriction
  let ref: String?

  func write(to object: inout JSONWriter) {
    object.member("action", action.rawValue)
    object.member("name", restriction.name)
    object.member("ref", ref)
    if action != .kick { object.member("restriction", restriction.id) }
    object.member("type", "moderated")
    if !action.lifts && action != .kick { object.member("until", restriction.until.map { Int($0) }) }
  }
}

/// The mutes and bans of a room.
struct RestrictionsEvent: ServerEvent {
  /// Maximum number of restrictions in an event.
  static let maxCount = 50

  let restrictions: ArraySlice<Restriction>
  let more: Bool
  let ref: String?

  func write(to object: inout JSONWriter) {
    object.member("more", more)
    object.member("ref", ref)
    object.member("restrictions", json: restrictions.map { RestrictionEntry(restriction: $0).json[...] })
    object.member("type", "restrictions")
  }
}

/// A mute or ban in a list. It does not contain the network, because clients must not get the addresses of others.
private struct RestrictionEntry: ServerEvent {
  let restriction: Restriction

  func write(to object: inout JSONWriter) {
    object.member("by", restriction.by)
    object.member("id", restriction.id)
    object.member("kind", restriction.kind.rawValue)
    object.member("name", restriction.name)
    object.member("reason", restriction.reason)
    object.member("until", restriction.until.map { Int($0) })
  }
}

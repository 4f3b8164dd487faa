internal import Confab

// The JSON form of restrictions, for storage and for other servers.

extension Restriction {
  private enum Field: Int, CaseIterable {
    case author, by, guest, kind, name, network, reason, room, until, user
  }
  private static let names = Field.allCases.map { Array("\($0)".utf8) }

  /// Maximum size of ``json`` in bytes. Texts grow to six times their size at most.
  package static let maxBytes = 6 * maxTextBytes + 1024
  private static let maxTextBytes = Chat.maxRoomLength + maxReasonLength + Identity.maxIDLength + 2 * Name.maxBytes

  /// The restriction as JSON.
  package var json: [UInt8] {
    var object = JSONWriter()
    object.member("author", isByModerator ? "moderator" : "program")
    object.member("by", by)
    switch target {
    case .user(let id): object.member("user", id)
    case .guest(let guest, let network):
      object.member("guest", guest.text)
      object.member("network", network?.description)
    case .network(let network): object.member("network", network.description)
    }
    object.member("kind", kind.rawValue)
    object.member("name", name)
    object.member("reason", reason)
    object.member("room", room)
    object.member("until", until.map { Int($0) })
    return object.end()
  }

  /// Parses the form of ``json``; nil if the bytes are malformed. Unknown kinds and targets are also malformed: a
  /// restriction without them would be weaker.
  package init?(json bytes: [UInt8]) {
    guard bytes.count <= Restriction.maxBytes, String(validating: bytes, as: UTF8.self) != nil,
      let object = JSONObject<Field>(bytes, names: Restriction.names, isStrict: true)
    else { return nil }
    do throws(WrongJSONType) { try self.init(object) } catch { return nil }
  }

  private init(_ object: JSONObject<Field>) throws(WrongJSONType) {
    func text(_ field: Field, _ limit: Int) throws(WrongJSONType) -> String? {
      guard let text = try object.text(field) else { return nil }
      guard 1...limit ~= text.utf8.count else { throw WrongJSONType() }
      return text
    }
    let (user, guest) = (try text(.user, Identity.maxIDLength), try text(.guest, 16))
    let network = try text(.network, 64).map { text throws(WrongJSONType) in
      do throws(ChatError) { return try Network(text) } catch { throw WrongJSONType() }
    }
    let target: Target
    switch (user, guest, network) {
    case (let user?, nil, nil): target = .user(user)
    case (nil, let guest?, _):
      guard let guest = GuestID(guest) else { throw WrongJSONType() }
      target = .guest(guest, network: network)
    case (nil, nil, let network?): target = .network(network)
    default: throw WrongJSONType()
    }
    let room = try text(.room, Chat.maxRoomLength)
    let until = try object.number(.until).map { Int64($0) }
    guard let kind = try text(.kind, 16).flatMap({ Kind(rawValue: $0) }), let by = try text(.by, Name.maxBytes),
      let author = try text(.author, 16), author.isSame(as: "moderator") || author.isSame(as: "program"),
      room.map({ $0.utf8.first == UInt8(ascii: "/") && $0.composed.isSame(as: $0) }) ?? true,
      until.map({ Position.times.contains($0) }) ?? true
    else { throw WrongJSONType() }
    self.init(
      kind, target, in: room, until: until, reason: try text(.reason, Restriction.maxReasonLength),
      name: try text(.name, Name.maxBytes), by: by, isByModerator: author.isSame(as: "moderator"))
  }
}

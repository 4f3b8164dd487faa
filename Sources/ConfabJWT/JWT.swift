internal import Confab
public import ConfabChat

/// The reason why a token is rejected.
public enum JWTError: Error, Equatable, Sendable {
  /// The token is too long, or is not three parts of base64url; or its header or claims are not a JSON object, or
  /// contain a member twice or a null.
  case malformed
  /// The token names an algorithm that is not supported, or has a critical header.
  case algorithm
  /// No key has signed the token.
  case signature
  /// The time in `exp` has come.
  case expired
  /// The time in `nbf` is more than 10 s in the future.
  case notYetValid
  /// The token is for another service.
  case audience
  /// The claim with this name is missing or invalid.
  case claim(String)
}

extension JWTKeys {
  /// Clock difference between the issuer and the server that is allowed for `nbf`.
  private static let leeway: Int64 = 10_000
  /// Maximum number of room patterns in a token.
  private static let maxRooms = 256

  private enum Header: Int, CaseIterable {
    case alg, kid, crit
    static let names = allCases.map { Array("\($0)".utf8) }
  }

  private enum Claim: Int, CaseIterable {
    case sub, name, rooms, rights, exp, nbf, aud
    static let names = allCases.map { Array("\($0)".utf8) }
  }

  /// Verifies a token and returns the identity in it.
  ///
  /// | claim | meaning |
  /// | --- | --- |
  /// | `sub` | `Identity.id`; required |
  /// | `name` | `Identity.name` |
  /// | `rooms` | array of at most 256 `RoomPattern`s; all rooms without it |
  /// | `rights` | array of `Rights`; `read`, `say` and `history` without it |
  /// | `exp` | `Identity.expires`, in seconds since 1970 |
  /// | `nbf` | the token is not valid before, in seconds since 1970 |
  /// | `aud` | checked if `audience` is not nil |
  ///
  /// - Parameters:
  ///   - token: at most `Admission.maxTokenLength` bytes.
  ///   - audience: the text that `aud` must be or contain; nil accepts tokens for every audience.
  ///   - time: the current time in milliseconds since 1970.
  public func identity(
    of token: String, audience: String? = nil, at time: Int64 = JWTKeys.currentTime
  ) throws(JWTError) -> Identity {
    let bytes = Array(token.utf8)
    guard bytes.count <= Admission.maxTokenLength else { throw .malformed }
    let parts = bytes.split(separator: UInt8(ascii: "."), maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 3, let signature = Base64URL.decode(parts[2]) else { throw .malformed }
    let header = try JWTKeys.object(parts[0], Header.names) as JSONObject<Header>
    let (algorithm, id) = try JWTKeys.algorithm(header)
    let message = bytes[..<parts[1].endIndex]
    guard candidates(id: id, algorithm: algorithm).contains(where: { $0.verifies(signature, of: message) }) else {
      throw .signature
    }
    return try JWTKeys.identity(JWTKeys.object(parts[1], Claim.names), audience, time)
  }

  /// The time of the system's clock in milliseconds since 1970.
  public static var currentTime: Int64 { WallClock.milliseconds }

  private static func object<Name>(_ part: ArraySlice<UInt8>, _ names: [[UInt8]]) throws(JWTError) -> JSONObject<Name> {
    guard let json = Base64URL.decode(part), Message.isText(json.span),
      let object = JSONObject<Name>(json, names: names, isStrict: true)
    else { throw .malformed }
    return object
  }

  private static func algorithm(
    _ header: JSONObject<Header>
  ) throws(JWTError) -> (SignatureAlgorithm, id: String?) {
    // The token requires extensions, which are not supported (RFC 7515, section 4.1.11).
    guard !header.has(.crit) else { throw .algorithm }
    let (name, id): (String?, String?)
    do throws(WrongJSONType) { (name, id) = (try header.text(.alg), try header.text(.kid)) } catch { throw .malformed }
    guard let algorithm = name.flatMap({ SignatureAlgorithm(rawValue: $0) }) else { throw .algorithm }
    return (algorithm, id)
  }

  private static func identity(
    _ claims: JSONObject<Claim>, _ audience: String?, _ now: Int64
  ) throws(JWTError) -> Identity {
    func claim<Value>(_ name: Claim, _ read: (Claim) throws(WrongJSONType) -> Value) throws(JWTError) -> Value {
      do throws(WrongJSONType) { return try read(name) } catch { throw .claim("\(name)") }
    }
    func time(_ name: Claim) throws(JWTError) -> Int64? {
      guard let seconds = try claim(name, claims.decimal) else { return nil }
      guard -1e12...1e12 ~= seconds else { throw .claim("\(name)") }
      return Int64(seconds * 1000)
    }
    let expires = try time(.exp)
    if let expires, expires <= now { throw .expired }
    if let start = try time(.nbf), start > now + leeway { throw .notYetValid }
    if let audience {
      let accepted = try claim(.aud, claims.textOrTexts)
      guard accepted?.contains(where: { $0.isSame(as: audience) }) ?? false else { throw .audience }
    }
    guard let id = try claim(.sub, claims.text), 1...Identity.maxIDLength ~= id.utf8.count else { throw .claim("sub") }
    let patterns = try claim(.rooms, claims.texts)
    guard patterns?.count ?? 0 <= maxRooms else { throw .claim("rooms") }
    let rooms = try patterns?.map { text throws(JWTError) in
      guard let pattern = RoomPattern(text) else { throw JWTError.claim("rooms") }
      return pattern
    }
    let rights = try claim(.rights, claims.texts).map { names throws(JWTError) in
      guard let rights = Rights(names: names) else { throw JWTError.claim("rights") }
      return rights
    }
    return Identity(
      id: id, name: try claim(.name, claims.text), rights: rights ?? .member, rooms: rooms ?? [.all], expires: expires)
  }

  /// Returns a token for an identity, signed by the first key that can sign: a secret, or a private key. Returns nil if
  /// no key can sign.
  ///
  /// - Parameters:
  ///   - identity: becomes the claims of ``identity(of:audience:at:)``.
  ///   - audience: the claim `aud`; nil for none.
  ///   - keyID: `kid` of the key; nil means any key.
  public func token(for identity: Identity, audience: String? = nil, keyID: String? = nil) -> String? {
    guard let key = signer(id: keyID) else { return nil }
    var header = JSONWriter()
    header.member("alg", key.algorithm.rawValue)
    header.member("kid", key.id)
    header.member("typ", "JWT")
    var claims = JSONWriter()
    claims.member("aud", audience)
    claims.member("exp", identity.expires.map { Int($0 / 1000) })
    claims.member("iat", Int(JWTKeys.currentTime / 1000))
    claims.member("name", identity.name)
    claims.member("rights", identity.rights.names)
    claims.member("rooms", identity.rooms.map(\.description))
    claims.member("sub", identity.id)
    let message = Base64URL.encode(header.end()) + [UInt8(ascii: ".")] + Base64URL.encode(claims.end())
    guard let signature = key.signature(of: message) else { return nil }
    return String(decoding: message + [UInt8(ascii: ".")] + Base64URL.encode(signature), as: UTF8.self)
  }
}

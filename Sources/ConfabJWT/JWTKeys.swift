public import Confab
internal import ConfabChat
internal import Synchronization

/// Keys that verify JSON Web Tokens (RFC 7519), for `Admission.jwt(_:audience:guests:)`. Any thread.
///
/// A key verifies one algorithm only: a secret HS256, an RSA key RS256, a key on the curve P-256 ES256, an Ed25519 key
/// EdDSA. The algorithm that a token names must be that of the key, so a token cannot choose how it is checked.
///
/// If both the token and a key have a `kid`, they must be equal. Keys of PEM files and secrets do not have a `kid`.
public final class JWTKeys: Sendable {
  /// Maximum size of a key file in bytes.
  private static let maxFileSize = 1 << 20
  /// Maximum number of keys. A token without a `kid` is tried with all keys of its algorithm.
  private static let maxKeys = 16

  private let files: [String]
  private let keys: Mutex<[JWTKey]>

  /// Reads keys from files. Each file has one of these:
  ///
  /// - a public key or certificate in PEM, or a private key, which is needed to sign tokens
  /// - a JWK or a JWK set (RFC 7517); keys of the set that are not for signatures are ignored
  /// - a secret for HS256: one line of at least 32 ASCII characters without spaces
  ///
  /// A file has at most 1 MiB, and all files together have at most 16 keys.
  ///
  /// Throws `ConfabError.Code.invalidKey` if a file cannot be read, or has no usable key, or if there
  /// are too many keys. The message names the file and, in a JWK set, the key.
  public init(files: [String]) throws(ConfabError) {
    self.files = files
    keys = Mutex(try JWTKeys.read(files))
  }

  /// Takes the content of one key file.
  public init(content: [UInt8]) throws(ConfabError) {
    files = []
    do throws(KeyFile.Invalid) {
      guard content.count <= JWTKeys.maxFileSize else { throw KeyFile.Invalid(reason: "it has more than 1 MiB") }
      let keys = try KeyFile.parse(content)
      guard keys.count <= JWTKeys.maxKeys else { throw JWTKeys.tooMany }
      self.keys = Mutex(keys)
    } catch {
      throw ConfabError(.invalidKey, "the key is not usable: \(error.reason)")
    }
  }

  /// Reads the files again. If that fails, the keys stay as they are.
  public func reload() throws(ConfabError) {
    if files.isEmpty { return }
    let keys = try JWTKeys.read(files)
    self.keys.withLock { $0 = keys }
  }

  private static func read(_ files: [String]) throws(ConfabError) -> [JWTKey] {
    var keys: [JWTKey] = []
    for file in files {
      let reason: String
      if let content = fileContents(file) {
        do throws(KeyFile.Invalid) {
          guard content.count <= maxFileSize else { throw KeyFile.Invalid(reason: "it has more than 1 MiB") }
          keys += try KeyFile.parse(content)
          guard keys.count <= maxKeys else { throw tooMany }
          continue
        } catch {
          reason = error.reason
        }
      } else {
        reason = reasonNotToRead(file) ?? "it cannot be read"
      }
      throw ConfabError(.invalidKey, "the key file '\(file)' is not usable: \(reason)")
    }
    return keys
  }

  private static let tooMany = KeyFile.Invalid(reason: "there are more than \(maxKeys) keys")

  /// Returns the keys that may have signed a token.
  func candidates(id: String?, algorithm: SignatureAlgorithm) -> [JWTKey] {
    keys.withLock { keys in
      keys.filter { $0.algorithm == algorithm && ($0.id == nil || id == nil || $0.id == id) }
    }
  }

  /// Returns the first key that can sign; if `id` is not nil, the first of them with this `kid`.
  func signer(id: String?) -> JWTKey? { keys.withLock { $0.first { $0.canSign && (id == nil || $0.id == id) } } }
}

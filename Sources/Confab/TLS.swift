/// A certificate and its key, for `https` and `wss`: TLS 1.2 and 1.3, by OpenSSL.
public struct TLS: Hashable, Sendable {
  /// A PEM file: the server's certificate, then those that lead to its root.
  public var certificateFile: String
  /// A PEM file: the private key, not encrypted.
  public var keyFile: String

  /// The pair in two files. They are read when the server is made.
  public init(certificateFile: String, keyFile: String) {
    self.certificateFile = certificateFile
    self.keyFile = keyFile
  }
}

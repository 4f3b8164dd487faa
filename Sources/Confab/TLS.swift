/// A certificate and its key for `https` and `wss`. OpenSSL provides TLS 1.2 and 1.3.
public struct TLS: Hashable, Sendable {
  /// PEM file with the server's certificate, followed by the chain to its root.
  public var certificateFile: String
  /// PEM file with the unencrypted private key.
  public var keyFile: String

  /// A certificate and a key in two files. The server reads them when it is created.
  public init(certificateFile: String, keyFile: String) {
    self.certificateFile = certificateFile
    self.keyFile = keyFile
  }
}

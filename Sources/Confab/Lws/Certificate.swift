internal import CLibwebsockets
internal import Synchronization

/// The certificate of a server, for the TLS handshakes of new connections. All event loops share it, so that they
/// change it at once. Any thread.
@safe final class Certificate: Sendable {
  private let tls: TLS
  /// The certificate that was read last. Connections take a reference to it.
  private let current: Mutex<Reading>
  private let unused = unsafe Reading(SSL_CTX_new(TLS_client_method())!)
  /// For `info.provided_client_ssl_ctx`. Without it, lws would make a client context with all root certificates of the
  /// system, and not free it. Freed with this object, after lws's contexts.
  var unusedClient: OpaquePointer { unsafe unused.context }

  /// An `SSL_CTX`, freed with this object. OpenSSL counts its references and locks its changes.
  @safe fileprivate final class Reading: @unchecked Sendable {
    let context: OpaquePointer

    /// Takes over the caller's reference.
    init(_ context: OpaquePointer) { unsafe self.context = context }

    deinit { unsafe SSL_CTX_free(context) }
  }

  /// Frees OpenSSL's data of the calling thread.
  static func freeThreadData() { OPENSSL_thread_stop() }

  /// Reads the files.
  init(_ tls: TLS) throws(ConfabError) {
    self.tls = tls
    current = Mutex(try tls.read())
  }

  /// Returns the object that `info.user` of a vhost points to. The pointer is unretained: the ``Context`` keeps both.
  static func of(vhost: UnsafeMutableRawPointer?) -> Certificate {
    unsafe Unmanaged<Certificate>.fromOpaque(lws_vhost_user(OpaquePointer(vhost!))).takeUnretainedValue()
  }

  /// Handles LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS: lws has made the vhost's `SSL_CTX`, and leaves the
  /// rest of its setup to the server (include/libwebsockets/lws-context-vhost.h,
  /// LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX).
  ///
  /// That `SSL_CTX` gets no certificate. It has a place for each kind of key, so an old certificate would stay in use
  /// after a change to another kind.
  func install(in context: UnsafeMutableRawPointer?) {
    let context = unsafe OpaquePointer(context!)
    unsafe shim_restrict_tls(context)
    // Unretained: the ``Context`` keeps this object for as long as there are connections.
    unsafe SSL_CTX_set_cert_cb(
      context,
      { ssl, certificate in
        let certificate = unsafe Unmanaged<Certificate>.fromOpaque(certificate!).takeUnretainedValue()
        // SSL_set_SSL_CTX() takes its own reference.
        return unsafe SSL_set_SSL_CTX(ssl, certificate.current.withLock { $0 }.context) == nil ? 0 : 1
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  /// Reads the files again, once for all loops. New handshakes then use the new certificate; existing connections keep
  /// theirs. Throws if the files are not valid, and keeps the old certificate.
  func reload() throws(ConfabError) {
    let fresh = try tls.read()
    current.withLock { $0 = fresh }
  }
}

extension TLS {
  /// Throws an error if the files are not valid.
  package func check() throws(ConfabError) { _ = try read() }

  /// Returns a new `SSL_CTX` with the certificate and its key.
  fileprivate func read() throws(ConfabError) -> Certificate.Reading {
    let reading = unsafe Certificate.Reading(SSL_CTX_new(TLS_server_method())!)
    try unsafe load(into: reading.context)
    return reading
  }

  private func load(into context: OpaquePointer) throws(ConfabError) {
    for (file, kind) in [(certificateFile, "certificate"), (keyFile, "key")] {
      if let reason = reasonNotToRead(file) { throw failure("cannot read the \(kind) '\(file)': \(reason)") }
    }
    // OpenSSL would ask for the password of an encrypted key on the terminal.
    unsafe SSL_CTX_set_default_passwd_cb(context) { _, _, _, _ in 0 }
    ERR_clear_error()
    guard unsafe SSL_CTX_use_certificate_chain_file(context, certificateFile) == 1 else {
      throw failure("'\(certificateFile)' is not a certificate chain in PEM: \(reason)")
    }
    guard unsafe SSL_CTX_use_PrivateKey_file(context, keyFile, SSL_FILETYPE_PEM) == 1,
      unsafe SSL_CTX_check_private_key(context) == 1
    else {
      let reason = reason
      throw failure(
        reason.hasBytes("mismatch")
          ? "the key '\(keyFile)' does not belong to the certificate '\(certificateFile)'"
          : "'\(keyFile)' is not a private key in PEM without a password: \(reason)")
    }
    let certificate = unsafe SSL_CTX_get0_certificate(context)
    if let end = unsafe X509_get0_notAfter(certificate), unsafe X509_cmp_current_time(end) < 0 {
      throw failure("the certificate '\(certificateFile)' has expired on \(unsafe date(end)); get a new one")
    }
    if let start = unsafe X509_get0_notBefore(certificate), unsafe X509_cmp_current_time(start) > 0 {
      throw failure("the certificate '\(certificateFile)' is not valid before \(unsafe date(start))")
    }
  }

  private func failure(_ message: String) -> ConfabError { ConfabError(.invalidCertificate, message) }

  /// OpenSSL's description of the error.
  private var reason: String {
    let text = unsafe ERR_reason_error_string(ERR_get_error()).map { unsafe String(cString: $0) }
    ERR_clear_error()
    return text ?? "unknown error"
  }

  private func date(_ time: UnsafePointer<ASN1_TIME>) -> String {
    var parts = unsafe tm()
    unsafe _ = ASN1_TIME_to_tm(time, &parts)
    let (year, month, day) = unsafe (Int(parts.tm_year) + 1900, Int(parts.tm_mon) + 1, Int(parts.tm_mday))
    return "\(year)-\(month)-\(day)"
  }
}

extension Socket {
  /// Whether the connection is encrypted.
  var isEncrypted: Bool { unsafe lws_is_ssl(wsi) != 0 }

  /// Whether a response can be written: false during a TLS handshake.
  var canAnswer: Bool {
    guard let ssl = unsafe lws_get_ssl(wsi) else { return true }
    return unsafe SSL_is_init_finished(ssl) == 1
  }
}

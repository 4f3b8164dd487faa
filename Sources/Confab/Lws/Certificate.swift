internal import CLibwebsockets
internal import Glibc
internal import Logging

/// The certificate of one context, which new connections get when they shake hands.
@safe final class Certificate {
  private let tls: TLS
  /// Holds the certificate that was read last; connections take a reference to it. Freed when there is another one, or
  /// with this object.
  private var current: OpaquePointer?
  /// For `info.provided_client_ssl_ctx`: lws would make one itself, to be a client, with all the roots of the system in it,
  /// and not free it. Freed with this object, after lws's context.
  let unusedClient = unsafe SSL_CTX_new(TLS_client_method())

  init(_ tls: TLS) { self.tls = tls }

  deinit {
    unsafe SSL_CTX_free(current)
    unsafe SSL_CTX_free(unusedClient)
  }

  /// The object that `info.user` of a vhost points to, unretained: the ``Context`` keeps both.
  static func of(vhost: UnsafeMutableRawPointer?) -> Certificate {
    unsafe Unmanaged<Certificate>.fromOpaque(lws_vhost_user(OpaquePointer(vhost!))).takeUnretainedValue()
  }

  /// LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS: lws has made the vhost's `SSL_CTX`, and leaves the rest of it to
  /// the server (include/libwebsockets/lws-context-vhost.h, LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX).
  ///
  /// That one stays without a certificate: it has a place for each kind of key, and would go on to use an old one.
  func install(in context: UnsafeMutableRawPointer?) -> Bool {
    let context = unsafe OpaquePointer(context!)
    unsafe shim_restrict_tls(context)
    // Unretained: the ``Context`` keeps this object for as long as there are connections.
    unsafe SSL_CTX_set_cert_cb(
      context,
      { ssl, certificate in
        let certificate = unsafe Unmanaged<Certificate>.fromOpaque(certificate!).takeUnretainedValue()
        return unsafe SSL_set_SSL_CTX(ssl, certificate.current) == nil ? 0 : 1
      }, Unmanaged.passUnretained(self).toOpaque())
    do throws(ConfabError) {
      try reload()
      return true
    } catch {
      return false
    }
  }

  /// Reads the files again. Connections that exist keep what they have.
  func reload() throws(ConfabError) {
    let fresh = try unsafe tls.open()
    unsafe SSL_CTX_free(current)
    unsafe current = fresh
  }
}

extension TLS {
  /// Throws what is wrong with the files, if anything is.
  package func check() throws(ConfabError) { unsafe SSL_CTX_free(try open()) }

  /// A new `SSL_CTX` with the certificate and its key, for the caller to free.
  fileprivate func open() throws(ConfabError) -> OpaquePointer {
    let context = unsafe SSL_CTX_new(TLS_server_method())!
    do throws(ConfabError) {
      try unsafe load(into: context)
      return unsafe context
    } catch {
      unsafe SSL_CTX_free(context)
      throw error
    }
  }

  private func load(into context: OpaquePointer) throws(ConfabError) {
    for (file, kind) in [(certificateFile, "certificate"), (keyFile, "key")] {
      if let reason = reasonNotToRead(file) { throw failure("cannot read the \(kind) '\(file)': \(reason)") }
    }
    // An encrypted key would be asked for its password on the terminal.
    unsafe SSL_CTX_set_default_passwd_cb(context) { _, _, _, _ in 0 }
    ERR_clear_error()
    guard unsafe SSL_CTX_use_certificate_chain_file(context, certificateFile) == 1 else {
      throw failure("'\(certificateFile)' is no certificate chain in PEM: \(reason)")
    }
    guard unsafe SSL_CTX_use_PrivateKey_file(context, keyFile, SSL_FILETYPE_PEM) == 1,
      unsafe SSL_CTX_check_private_key(context) == 1
    else {
      let reason = reason
      throw failure(
        reason.contains("mismatch")
          ? "the key '\(keyFile)' does not belong to the certificate '\(certificateFile)'"
          : "'\(keyFile)' is no private key in PEM without a password: \(reason)")
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

  /// What OpenSSL says was wrong.
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

  /// Whether it can be written to: not within a TLS handshake.
  var canAnswer: Bool {
    guard let ssl = unsafe lws_get_ssl(wsi) else { return true }
    return unsafe SSL_is_init_finished(ssl) == 1
  }
}

extension EventLoop {
  /// Any thread.
  func reloadCertificate() {
    execute {
      do throws(ConfabError) {
        try self.context.certificate?.reload()
      } catch {
        self.configuration.logger.error("the certificate is not reloaded: \(error)")
      }
    }
  }
}

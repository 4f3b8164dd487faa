import Confab
import ConfabJWT
import Logging
import UnixSignals

/// Handles signals and the service manager's watchdog for a running server.
struct Supervision {
  let server: Server
  /// Keys that verify tokens; nil if tokens are not used.
  let keys: JWTKeys?
  let signals: UnixSignalsSequence

  /// Runs until the task is cancelled.
  func run() async {
    await withTaskGroup { group in
      group.addTask { await obey() }
      group.addTask { await stayAlive() }
    }
  }

  private func obey() async {
    var timeout: Duration?
    for await signal in signals {
      if signal == .sighup {
        if server.isReady { reload() }
      } else {
        server.configuration.logger.info("\(signal) stops the server")
        ServiceManager.tell(.stopping)
        server.stop(within: timeout)
        if timeout != nil { endProcess() }
        // A second signal stops at once.
        timeout = .zero
      }
    }
  }

  /// Ends the process after 1 s, even if an event loop or the engine is stuck.
  private func endProcess() {
    Task.detached {
      try? await Task.sleep(for: .seconds(1))
      server.configuration.logger.error("the server has not stopped in time: the process exits anyway")
      ProcessEnd.now(status: 1)
    }
  }

  /// Reloads the certificate and the keys.
  private func reload() {
    ServiceManager.tell(.reloading)
    defer { ServiceManager.tell(.ready) }
    let logger = server.configuration.logger
    if server.configuration.tls != nil {
      do {
        try server.reloadCertificate()
        logger.notice("the certificate has been reloaded")
      } catch {
        logger.error("the certificate has not been reloaded: \(error)")
      }
    }
    do {
      guard let keys else { return }
      try keys.reload()
      logger.notice("the keys for tokens have been reloaded")
    } catch {
      logger.error("the keys for tokens have not been reloaded: \(error)")
    }
  }

  /// Notifies the watchdog at twice the required rate, as long as every event loop runs.
  private func stayAlive() async {
    guard let time = ServiceManager.watchdogTime else { return }
    while !Task.isCancelled {
      for loop in server.loops { await Task(executorPreference: loop) {}.value }
      ServiceManager.tell(.alive)
      try? await Task.sleep(for: time / 2)
    }
  }
}

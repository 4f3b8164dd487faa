import Confab
import Logging
import UnixSignals

/// What signals, and the service manager, want of a server that runs.
struct Supervision {
  let server: Server
  let signals: UnixSignalsSequence

  /// Does it until the task is cancelled.
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
        // The second time at once.
        timeout = .zero
      }
    }
  }

  /// Ends the process soon, also when an event loop does not come to its turn, or the engine not to its end.
  private func endProcess() {
    Task.detached {
      try? await Task.sleep(for: .seconds(1))
      server.configuration.logger.error("the server has not stopped: the process ends without it")
      ProcessEnd.now(status: 1)
    }
  }

  /// Reads the certificate again.
  private func reload() {
    ServiceManager.tell(.reloading)
    defer { ServiceManager.tell(.ready) }
    guard server.configuration.tls != nil else { return }
    let logger = server.configuration.logger
    do {
      try server.reloadCertificate()
      logger.notice("the certificate has been read again")
    } catch {
      logger.error("the certificate stays what it was: \(error)")
    }
  }

  /// Says so, twice as often as it must, as long as every event loop has its turns.
  private func stayAlive() async {
    guard let time = ServiceManager.watchdogTime else { return }
    while !Task.isCancelled {
      for loop in server.loops { await Task(executorPreference: loop) {}.value }
      ServiceManager.tell(.alive)
      try? await Task.sleep(for: time / 2)
    }
  }
}

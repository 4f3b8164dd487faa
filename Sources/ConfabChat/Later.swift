internal import Confab

extension EventLoop {
  func execute(after time: Duration, _ job: @escaping @Sendable () -> Void) -> Bool {
    Task {
      try await Task.sleep(for: time)
      self.execute(job)
    }
    return true
  }
}

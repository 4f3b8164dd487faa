extension Server {
  /// Makes a server that runs in a libuv loop of the embedding program, beside the loop's other work. It has one event
  /// loop, whatever ``Configuration/loops`` says, and no thread. It runs from ``start()`` until it has stopped. Call
  /// ``start()`` on the thread that runs the libuv loop, or while the loop does not run.
  ///
  /// - Parameters:
  ///   - configuration: the settings of the server.
  ///   - loop: a `uv_loop_t *`. Do not close or free it before ``whenStopped(_:)`` has reported that the server has
  ///     stopped. `uv_run` then returns if the loop has no other work.
  ///   - makeHandler: called once, by ``start()``.
  public convenience init(
    _ configuration: Configuration = Configuration(), onUvLoop loop: UnsafeMutableRawPointer,
    handler makeHandler: @escaping @Sendable (EventLoop) -> any Handler
  ) throws(ConfabError) {
    var configuration = configuration
    configuration.loops = 1
    try self.init(configuration, on: .host(unsafe HostLoop.Pointer(loop)), handler: makeHandler)
  }
}

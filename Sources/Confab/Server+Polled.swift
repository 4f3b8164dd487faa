extension Server {
  /// Makes a server that runs in an event loop of any kind, epoll or GLib's for example. It has one event loop, whatever
  /// ``Configuration/loops`` says, and no thread. From ``start()`` until it has stopped, the program waits and calls
  /// ``step()``, on the thread of ``start()``:
  ///
  /// ```swift
  /// try server.start()
  /// var descriptor = pollfd(fd: server.pollDescriptor, events: Int16(POLLIN), revents: 0)
  /// repeat { poll(&descriptor, 1, server.pollTimeout) } while server.step()
  /// ```
  ///
  /// - Parameters:
  ///   - configuration: the settings of the server.
  ///   - makeHandler: called once, by ``start()``.
  public convenience init(
    polled configuration: Configuration, handler makeHandler: @escaping @Sendable (EventLoop) -> any Handler
  ) throws(ConfabError) {
    var configuration = configuration
    configuration.loops = 1
    try self.init(configuration, on: .steps, handler: makeHandler)
  }

  /// The descriptor that is readable when ``step()`` has something to do; -1 if the server was not made with
  /// ``init(polled:handler:)``, or has stopped. Do not read from it. Any thread.
  public var pollDescriptor: Int32 { isPolled ? loops[0].pollDescriptor : -1 }

  /// Maximum time in milliseconds until the next call of ``step()``, as poll(2) takes it: -1 means no limit. The
  /// call writes the messages that the program has published or sent since the last step, or it returns 0 and the next
  /// step writes them. So get it just before each poll, and after all other work. Traps on other threads than that of
  /// ``start()``.
  public var pollTimeout: Int32 { isRunning && isPolled ? loops[0].willPoll() : -1 }

  /// Runs one turn, without waiting: reads what has arrived, runs handlers and jobs, and writes. Returns whether the
  /// server is running. Calls within a handler have no effect. Traps on other threads than that of ``start()``.
  public func step() -> Bool {
    if isRunning && isPolled { loops[0].step() }
    return isRunning
  }
}

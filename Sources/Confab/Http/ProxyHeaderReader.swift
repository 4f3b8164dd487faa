/// A connection of a trusted proxy whose PROXY header has not arrived completely.
final class ProxyHeaderReader {
  /// The time at which the header is late.
  let deadline: UInt64
  private let socket: StreamSocket
  private let peer: SocketAddress
  private let ticket: Admission.Ticket
  private unowned let loop: EventLoop
  private var header = ProxyHeader()
  /// Polls the socket if the header was not there at once.
  private var poll: UvPoll?

  init(
    _ socket: StreamSocket, _ peer: SocketAddress, _ ticket: Admission.Ticket, deadline: UInt64, on loop: EventLoop
  ) {
    (self.socket, self.peer, self.ticket, self.deadline, self.loop) = (socket, peer, ticket, deadline, loop)
  }

  /// Reads the available bytes of the header, but not beyond its end.
  func read() {
    let scratch = loop.scratch
    while case .needs(let count) = header.state {
      switch socket.receive(into: scratch, limit: count) {
      case .bytes(let count): header.append(scratch.prefix(count))
      case .nothingYet: return startPolling()
      case .ended: return fail("the connection has ended")
      }
    }
    switch header.state {
    case .needs: break
    case .malformed(let reason): fail(reason)
    case .whole(nil):
      stopPolling()
      loop.readRequests(socket, peer, isProxied: true, ticket, deadline: deadline)
    case .whole(let client?):
      stopPolling()
      do throws(Rejection) {
        let ticket = try loop.admission.exchange(ticket, for: client)
        loop.readRequests(socket, client, isProxied: true, ticket, deadline: deadline)
      } catch {
        loop.reject(socket, client, error)
        loop.admission.leave(ticket)
      }
    }
  }

  /// Drops the connection without a response, because the client is unknown.
  func fail(_ reason: String) {
    loop.admission.rejections.note(.badProxyHeader, peer.endpoint, reason)
    end()
  }

  func end() {
    stopPolling()
    socket.close()
    loop.admission.leave(ticket)
  }

  private func startPolling() {
    guard poll == nil else { return }
    // The loop keeps this object alive while it polls.
    loop.proxyHeaderReaders.insert(self)
    poll = UvPoll(socket, on: loop.uv) { [unowned self] in read() }
    poll?.wait(for: .input)
  }

  private func stopPolling() {
    poll?.close()
    poll = nil
    loop.proxyHeaderReaders.remove(self)
  }
}

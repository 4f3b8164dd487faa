internal import Confab

/// The sender of a message whose offset is pending.
enum Publisher {
  /// A client of the rich protocol in a room, which gets the message like every member.
  case connection(Connection, room: String)
  /// Calls of the program. Each gets the result once.
  case program([@Sendable (Result<StreamPosition, ChatError>) -> Void])

  /// Combines this publisher with an earlier publisher of the same message: calls of the program all get the result.
  /// Otherwise only this publisher stays.
  func joined(by earlier: Publisher) -> Publisher {
    guard case .program(let calls) = self, case .program(let earlier) = earlier else { return self }
    return .program(earlier + calls)
  }

  func published(at position: StreamPosition) { end(.success(position)) }

  /// Reports that the engine's history was replaced. `position` is the position of the message in the new history; nil
  /// if the message is not there.
  func ended(at position: StreamPosition?) {
    end(
      position.map { .success($0) }
        ?? .failure(ChatError(.unknown, "the history was replaced while the message was pending")))
  }

  /// Reports that the engine has rejected the message with this tag.
  func rejected(_ tag: String) {
    if case .connection(let connection, let room) = self {
      connection.loop.execute { (connection.handlerState as? RichConnection)?.rejected(tag, inRoom: room, connection) }
    }
    end(.failure(ChatError(.rejected, "the text is too long for the broker")))
  }

  private func end(_ result: Result<StreamPosition, ChatError>) {
    if case .program(let calls) = self { for call in calls { call(result) } }
  }
}

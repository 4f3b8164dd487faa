internal import Confab
internal import Synchronization

// Calls from the room's engine.

extension Room: RoomSink {
  func opened(_ kept: Kept) {
    let (isMade, waiting) = state.withLock { state in
      restore(kept, &state)
      defer { state.waiting = nil }
      return (state.order != nil, state.waiting ?? [:])
    }
    for action in waiting.values { action() }
    // ChatRooms.enter does this for a new room.
    if isMade { keepWithinBudget() }
  }

  private func restore(_ kept: Kept, _ state: inout State) {
    if state.waiting == nil {
      comeAgain(state)
      // These messages may be among those that the room has now, or may be lost.
      state.waitingTags = [:]
    }
    tally(&state) { state in
      state.history = History(maxMessages: options.maxHistoryMessages, maxBytes: options.maxHistoryBytes)
      state.history.restore(kept, maxTextBytes: maxTextBytes)
    }
    expire(&state)
    state.epoch = kept.epoch
    welcomeAhead(&state, all: true)
  }

  func renumbered(_ epoch: String) {
    state.withLock { state in
      if state.waiting == nil && state.epoch != epoch { comeAgain(state) }
      state.epoch = epoch
      welcomeAhead(&state, all: true)
    }
  }

  /// Closes clients that have missed messages, or know offsets that may be assigned again.
  private func comeAgain(_ state: borrowing State) {
    for connection in state.people.connections { connection.comeAgain() }
    for connection in state.plain.values { connection.comeAgain() }
  }

  func placed(_ posts: [PlacedPost]) {
    let forms = posts.map {
      $0.post.name == nil ? plainLog.compressedForms(of: Message($0.post.kind, $0.post.bytes.span)) : nil
    }
    state.withLock { state in
      for (post, forms) in zip(posts, forms) { append(post, forms, &state) }
      welcomeAhead(&state)
    }
    keepWithinBudget()
  }

  func refused(_ posts: [Post]) {
    state.withLock { state in
      for key in posts.compactMap({ MemberTag($0.member, $0.tag) }) {
        guard let connection = state.waitingTags.removeValue(forKey: key) else { continue }
        connection.loop.execute { (connection.context as? RichProtocol)?.refused(key.tag, connection) }
      }
    }
  }

  func availabilityChanged(_ isAvailable: Bool) {
    state.withLock { state in
      guard state.isAvailable != isAvailable else { return }
      state.isAvailable = isAvailable
      let event = AvailabilityEvent(available: isAvailable)
      if !state.people.isEmpty { richLog.append(event) }
    }
  }
}

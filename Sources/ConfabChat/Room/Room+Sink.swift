internal import Confab
internal import Synchronization

// What a room is told by its engine.

extension Room: RoomSink {
  func opened(_ kept: Kept) {
    let isMade = state.withLock { state in
      restore(kept, &state)
      return state.order != nil
    }
    // Who has it made does that himself.
    if isMade { keepWithinBudget() }
  }

  private func restore(_ kept: Kept, _ state: inout State) {
    tally(&state) { state in
      state.history = History(maxMessages: options.maxHistoryMessages, maxBytes: options.maxHistoryBytes)
      state.history.restore(kept)
    }
    expire(&state)
    let epoch = state.epoch
    state.epoch = kept.epoch
    guard let unopened = state.unopened else {
      // What they have is of another numbering.
      if epoch != kept.epoch { for connection in state.people.connections { connection.comeAgain() } }
      return
    }
    state.unopened = nil
    for (post, sender) in unopened.posts {
      guard let place = state.order?.place({ post }, from: sender) else { continue }
      append(PlacedPost(post, at: place), nil, &state)
      sender?.settled(post.bytes.count)
    }
    for connection in unopened.connections {
      connection.loop.execute { (connection.context as? RichProtocol)?.roomOpened(connection) }
    }
  }

  func placed(_ posts: [PlacedPost]) {
    let forms = posts.map { $0.post.name == nil ? plainLog.forms(of: Message($0.post.kind, $0.post.bytes.span)) : nil }
    state.withLock { state in
      for (post, forms) in zip(posts, forms) { append(post, forms, &state) }
    }
    keepWithinBudget()
  }

  func availabilityChanged(_ isAvailable: Bool) {
    state.withLock { state in
      guard state.isAvailable != isAvailable else { return }
      state.isAvailable = isAvailable
      let event = AvailabilityEvent(available: isAvailable)
      if !state.people.isEmpty { richLog.append(event) }
      for connection in state.unopened?.connections ?? [] { connection.loop.execute { connection.send(event) } }
    }
  }
}

internal import Confab
internal import Synchronization

// Presence, for the members of a room and for other servers.

extension Room {
  /// Records that a member has joined, left or been renamed.
  func attendanceChanged(_ state: inout State) {
    state.attendanceVersion += 1
    if state.isAttendanceChangeTold { return }
    state.isAttendanceChangeTold = true
    state.order?.attendanceChanged()
  }

  func countChanged(_ state: inout State, _ loop: EventLoop) {
    attendanceChanged(&state)
    if state.people.isEmpty { return }
    state.presence.countChanged()
    schedulePresence(&state, loop)
  }

  /// Minimum interval between presence events.
  static let presenceInterval = Duration.milliseconds(200)

  /// Schedules a presence event for all changes until then, if there are any.
  func schedulePresence(_ state: inout State, _ loop: EventLoop) {
    guard state.presence.hasNews else { return }
    let now = ContinuousClock.now
    // A loop may have stopped before it sent the event.
    if let due = state.presenceDue, now < due + .seconds(1) { return }
    let isScheduled = loop.execute(after: Room.presenceInterval) { self.tellPresence(on: loop) }
    state.presenceDue = isScheduled ? now + Room.presenceInterval : nil
  }

  private func tellPresence(on loop: EventLoop) {
    state.withLock { state in
      state.presenceDue = nil
      if state.presence.hasNews && !state.people.isEmpty {
        let people = state.people
        richLog.append(state.presence.take(count: state.count) { people.isPresent($0) })
      } else {
        state.presence = Presence()
      }
      schedulePresence(&state, loop)
    }
  }

  func attendance(unless version: Int) -> (attendance: Attendance, version: Int)? {
    state.withLock { state in
      state.isAttendanceChangeTold = false
      guard state.attendanceVersion != version else { return nil }
      let attendance = Attendance(people: state.people.attendance, count: state.people.count + state.plain.count)
      return (attendance, state.attendanceVersion)
    }
  }

  func attended(_ server: String, _ attendance: Attendance) {
    let replaced = state.withLock { state in
      let count = state.count
      let (changed, replaced) = state.people.update(server, attendance)
      if !replaced.isEmpty { attendanceChanged(&state) }
      for name in changed { state.presence.changed(name) }
      if state.count != count { state.presence.countChanged() }
      // Presence events go only to members on this server.
      if let loop = state.people.connections.first(where: { _ in true })?.loop { schedulePresence(&state, loop) }
      return replaced
    }
    for connection in replaced { connection.giveWay() }
  }

  func typed(_ name: String) {
    guard let name = Name(name, limit: Name.greatestLimit) else { return }
    state.withLock { state in if !state.people.isEmpty { richLog.append(TypingEvent(name: name.text)) } }
  }
}

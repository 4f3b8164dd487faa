"""Removes each call that schedules something, one at a time, in a copy of the sources. Reports whether the simulation
notices.

    python3 Tests/Python/simulation/mutations.py [NAME ...]
"""

import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
COPY = ROOT / ".build" / "mutations"
SOURCES = "Sources/Confab/"
LOG = SOURCES + "Log/"
LOOP = SOURCES + "Loop/"
CONNECTION = SOURCES + "Connection/"
LWS = SOURCES + "Lws/"
PLATFORM = SOURCES + "Platform/"

# Name, file, removed text, and replacement. Excluded are calls that a timer makes up for within 20 ms
# (BroadcastLog.logRelieved), the reading of a dropped connection that its handler holds (ConnectionTests), the reading
# of a killed one (Socket.kill), which is not read while its authorization is pending, and libwebsockets' own requests
# for output when a socket is full.
MUTATIONS = [
    ("readers are notified of growth", LOG + "FrameLog.swift", "for entry in readers { entry.reader.logGrew() }", ""),
    ("growth is notified again", LOG + "FrameLog.swift", "    isGrowthKnown = false\n    return (queue.end", "    return (queue.end"),
    ("growth schedules the fan-out", LOOP + "Fanout.swift", "    loop.schedule(self)\n  }\n\n  /// Adds", "  }\n\n  /// Adds"),
    ("fan-out can be scheduled again", LOOP + "Fanout.swift", "    isScheduled.store(false, ordering: .releasing)\n", ""),
    ("the rest of a large batch is scheduled", LOOP + "Fanout.swift", "      loop.turn.schedule(self)\n    }\n    evict", "    }\n    evict"),
    ("waiting members continue", LOOP + "Fanout.swift", "    resumeWaiting()\n", ""),
    ("waiting members are scheduled", LOOP + "Fanout.swift", "      loop.turn.schedule(connection)\n    }\n    waiting", "    }\n    waiting"),
    ("new members are admitted", LOOP + "Fanout.swift", "    resume(connection)\n  }", "  }"),
    ("members of several logs are admitted", LOOP + "Fanout.swift", "{ return loop.turn.schedule(connection) }", "{ return }"),
    ("members ahead of the group wait", LOOP + "Fanout.swift", "      if connection.writing.schedule() { waiting.append(connection) }", "_ = connection.writing.schedule()"),
    ("empty fan-outs retire", LOOP + "Fanout.swift", "if group.isEmpty && apart.isEmpty { loop.schedule(self) }", ""),
    ("sends are scheduled", CONNECTION + "Writing.swift", "    loop.turn.schedule(self)\n    guard backlog", "    guard backlog"),
    ("the rest of a log is scheduled", CONNECTION + "Writing.swift", "      loop.turn.schedule(self)\n    }\n    fanout.remove", "    }\n    fanout.remove"),
    ("long backlogs ask for output", CONNECTION + "Writing.swift", "    requestWritable()\n    return false\n", "    return false\n"),
    ("caught up members continue", CONNECTION + "Writing.swift", "    forEachFanout { $0.resume(self) }\n", ""),
    ("members of several logs continue in each", CONNECTION + "Writing.swift", "    forEachFanout { $0.resume(self) }\n", "    memberships.first?.fanout.resume(self)\n"),
    ("messages follow what is unread in several logs", CONNECTION + "Writing.swift", "    forEachFanout { copyUnread(of: $0) }\n", ""),
    ("a group stops between messages", LOOP + "Fanout.swift", " && !(isSharedWithOthers && isInsideMessage)", ""),
    ("a group is written up to the end of a message", LOOP + "Fanout.swift", "form.read(cursor, upTo: end)", "form.read(cursor)"),
    ("the rest of a message comes first", LOOP + "Membership.swift", "      if slice.beginsInsideMessage { return (slice, membership.fanout) }\n", ""),
    ("the rest of a message is copied first", CONNECTION + "Writing.swift", "    copyUnfinished()\n    forEach", "    forEach"),
    ("a full socket is left out of all groups", CONNECTION + "Writing.swift", "    if memberships.areSeveral { forEachFanout { $0.setApart(self) } } else { fanout.setApart(self) }", "    fanout.setApart(self)"),
    ("a long backlog is left out of all groups", CONNECTION + "Writing.swift", "    if memberships.areSeveral { forEachFanout { $0.setApart(self) } }\n    requestWritable", "    requestWritable"),
    ("marks are removed when another log is joined", CONNECTION + "Writing.swift", "        removeMarks(in: first)\n", ""),
    ("closing is scheduled", CONNECTION + "Closing.swift", "    socket.wakeLws()\n    loop.turn.schedule(self)\n", "    socket.wakeLws()\n"),
    ("logs are left before the close frame", CONNECTION + "Writing.swift", "    if state == .closing { discardBacklog() }\n", ""),
    ("closing has a timer", CONNECTION + "Closing.swift", "    socket.setTimer(patience)\n", ""),
    ("lws notices timers", CONNECTION + "Closing.swift", "    socket.wakeLws()\n", ""),
    ("close frames ask for output", CONNECTION + "Writing.swift", "if writeBacklog(), state == .closing { requestWritable() }", "_ = writeBacklog()"),
    ("new work gets a turn", LOOP + "Turn.swift", "if !fanouts.isEmpty || !connections.isEmpty { uv.pollWithoutBlocking() }", ""),
    ("other threads' growth is a job", LOOP + "EventLoop.swift", "      execute { self.turn.schedule(fanout) }\n", ""),
    ("ended loops drop connections", LOOP + "ReadScheduler.swift", "    (paused, resumed) = ([], [])\n", ""),
    ("bursts are polled again", LOOP + "Turn.swift", "if isPollingOnceMore { uv.pollWithoutBlocking() }", ""),
    ("jobs wake the loop", LOOP + "Jobs.swift", "public func execute(_ job: @escaping @Sendable () -> Void) -> Bool { jobs.add(job) { uv.wake() } }", "public func execute(_ job: @escaping @Sendable () -> Void) -> Bool { jobs.add(job) {} }"),
    ("close frames come from a timer", CONNECTION + "Closing.swift", "    ending?.isFrameDue = true\n    socket?.setTimer(.microseconds(1))\n", "    ending?.isFrameDue = true\n"),
    ("reading continues after a pong", LWS + "Workarounds/ReceivedPings.swift", "    guard output.isPongPending else { return }\n    output.isPongPending = false\n    loop.reads.resume(self)\n", "    guard output.isPongPending else { return }\n    output.isPongPending = false\n"),
    ("reading continues after the close frame", LWS + "Workarounds/ReceivedPings.swift", "closeFrameWasSent() {\n    output.isPongPending = false\n    loop.reads.resume(self)\n", "closeFrameWasSent() {\n    output.isPongPending = false\n"),
    ("paused connections are checked again", LOOP + "ReadScheduler.swift", "{ [unowned self] in checkPaused() }", "{}"),
    ("hosts prepare to poll", PLATFORM + "UvLoop.swift", "    events.willPoll()\n    return", "    return"),
]


def simulate(*arguments):
    """Returns whether the simulation in the copy finds a fault."""
    program = COPY / ".build/release/Simulation"
    return subprocess.run([program, *arguments], capture_output=True, timeout=600).returncode != 0


def main(names):
    ignored = shutil.ignore_patterns(".build*", ".git", "__pycache__")
    shutil.copytree(ROOT, COPY, ignore=ignored, dirs_exist_ok=True)
    missed = 0
    for name, file, text, replacement in MUTATIONS:
        if names and name not in names:
            continue
        source = (ROOT / file).read_text()
        if source.count(text) != 1:
            sys.exit(f"{name}: {file} has its text {source.count(text)} times")
        (COPY / file).write_text(source.replace(text, replacement))
        built = subprocess.run(
            ["swift", "build", "-c", "release", "--product", "Simulation"], cwd=COPY, capture_output=True, text=True)
        if built.returncode:
            sys.exit(f"{name} does not build:\n{built.stdout[-2000:]}")
        start = time.monotonic()
        found = simulate("exhaustive") or simulate("random", "--seconds", "30", "--seed", "1")
        print(f"{'found' if found else 'MISSED'} in {time.monotonic() - start:.1f} s: {name}", flush=True)
        missed += not found
        shutil.copy(ROOT / file, COPY / file)
    sys.exit(missed and f"{missed} missed")


main(sys.argv[1:])

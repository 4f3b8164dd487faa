"""Sessions: the data that some connections send, and how the connections end.

A session is a list of steps (connection, action, argument); in a file, one line each: `0 send b'GET / HTTP/1.1\\r\\n'`.
A file has one session, or several separated by empty lines, which are played one after the other.
"""

import ast
import contextlib
import select
import socket
import struct

ACTIONS = {
    "send": "sends bytes, as one TCP segment if they fit",
    "wait": "until something comes, for so many seconds at the most",
    "half": "ends its side of the TCP connection",
    "reset": "ends the connection with RST",
    "close": "ends the connection",
}


def dump(sessions):
    return "\n".join(
        "".join(f"{number} {action} {argument!r}\n" for number, action, argument in session) for session in sessions)


def load(text):
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return [[parse(line) for line in session.splitlines()] for session in lines.strip().split("\n\n")]


def parse(line):
    number, action, argument = line.split(" ", 2)
    assert action in ACTIONS, line
    return int(number), action, ast.literal_eval(argument)


def play(session, port):
    """Plays the steps, ignoring replies, then closes all open connections."""
    sockets = {}
    try:
        for number, action, argument in session:
            if number not in sockets:
                sockets[number] = socket.create_connection(("127.0.0.1", port), timeout=5)
                sockets[number].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # The server may end a connection at any time.
            with contextlib.suppress(OSError):
                step(sockets[number], action, argument)
    finally:
        for one in sockets.values():
            one.close()


def step(one, action, argument):
    if action == "send":
        one.sendall(argument)
    elif action == "wait":
        select.select([one], [], [], argument)
    elif action == "half":
        one.shutdown(socket.SHUT_WR)
    elif action == "reset":
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.close()
    elif action == "close":
        one.close()
    while one.fileno() >= 0 and select.select([one], [], [], 0)[0] and one.recv(1 << 16):
        pass

"""Sessions: what some connections send, and how they end.

A session is a list of steps (connection, action, argument); in a file, a line each: `0 send b'GET / HTTP/1.1\\r\\n'`.
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


def dump(session):
    return "".join(f"{number} {action} {argument!r}\n" for number, action, argument in session)


def load(text):
    session = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            number, action, argument = line.split(" ", 2)
            assert action in ACTIONS, line
            session.append((int(number), action, ast.literal_eval(argument)))
    return session


def play(session, port):
    """Does the steps, whatever comes back; what is still open at the end is closed."""
    sockets = {}
    try:
        for number, action, argument in session:
            if number not in sockets:
                sockets[number] = socket.create_connection(("127.0.0.1", port), timeout=5)
                sockets[number].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A server that has ended the connection is no finding.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError, OSError):
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
    if one.fileno() >= 0:
        with contextlib.suppress(BlockingIOError):
            while one.recv(1 << 16, socket.MSG_DONTWAIT):
                pass

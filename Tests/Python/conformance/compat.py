"""Runtime support for the converted suite, installed beside it as `_compat.py`, see port.py.

A case's payload is a string of octets, as in Python 2: one character, U+0000 to U+00FF, is one octet. So the cases'
operations on payloads mean the same as before. Octets are converted to bytes where a case calls the protocol, and bytes
to octets where the protocol calls a case. Autobahn's changes since 0.10.9, which the suite was written for, are undone
where they would show on the wire or in a verdict.
"""

import binascii
import os
import pathlib
import sys

from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet import reactor
from twisted.python import log


def to_bytes(octets):
    return octets if isinstance(octets, bytes) else octets.encode("latin-1")


def to_octets(data):
    return data if isinstance(data, str) else bytes(data).decode("latin-1")


def hexadecimal(octets):
    return binascii.b2a_hex(to_bytes(octets)).decode()


def text(octets):
    """Decodes octets for a report. Python 2 wrote them unchanged, mostly as UTF-8."""
    if octets is None:
        return None
    try:
        return to_bytes(octets).decode(errors="replace")
    except UnicodeEncodeError:
        return octets  # not octets: it was text in Python 2 too


def same(one, other):
    """Compares value and type. The suite compares pickles, which in Python 3 can differ for equal values."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def message_sizes(sizes):
    """Returns sizes, counts, timeouts and fragment sizes of the messages in 12.* and 13.*: WSTEST_PMD_MESSAGES of each
    size instead of 1000."""
    most = int(os.environ.get("WSTEST_PMD_MESSAGES", "1000"))
    if most < 1:
        raise ValueError("WSTEST_PMD_MESSAGES")
    return [(size, min(most, count), timeout, fragment) for size, count, timeout, fragment in sizes]


def resource_filename(_package, name):
    """Replaces the function of pkg_resources, which no longer exists."""
    return str(pathlib.Path(__file__).resolve().parent / name)


def log_binary(data, limit=64):
    """Formats the first octets for the wire log, in hexadecimal."""
    shown = hexadecimal(data)
    return shown if len(data) <= limit - 4 else shown[:2 * limit] + " ..."


def log_text(data, limit=64, replace=False):
    """Formats the first octets for the wire log, as text if they are valid."""
    data = to_bytes(data)
    if len(data) > limit - 4:
        data = data[:limit] + b" ..."
    try:
        return data.decode(errors="replace" if replace else "strict")
    except UnicodeDecodeError:
        return "0x" + log_binary(data, limit)


class ExactTimer:
    """Replaces the factory's timers, which have a resolution of one second: the 1 s for a closing handshake took
    between 0 and 1 s, so a peer that replies at once was sometimes UNCLEAN."""

    call_later = staticmethod(reactor.callLater)


class Boundary:
    """The first base class of the suite's protocol."""

    debug = False

    def failConnection(self, *arguments, **options):
        return self._fail_connection(*arguments, **options)

    def drop_nagle(self):
        """Disables Nagle's algorithm, which would merge chopped frames. Autobahn sets TCP_NODELAY too early."""
        self.transport.setTcpNoDelay(True)

    def onCloseFrame(self, code, reason):
        """Keeps the received code. Autobahn replaces an invalid one with 1000, which hides it from the verdict."""
        result = super().onCloseFrame(code, reason)
        self.remoteCloseCode = code
        return result

    def sendData(self, data, sync=False, chopsize=None):
        """Joins the offers of 13.7.* like the original."""
        if self.state == WebSocketProtocol.STATE_CONNECTING and b",permessage-deflate" in data:
            data = data.replace(b",permessage-deflate", b", permessage-deflate")
            self.http_request_data = data
        return super().sendData(data, sync, chopsize)

    def sendFrame(self, opcode, payload=b"", **options):
        if options.get("mask") is not None:
            options["mask"] = to_bytes(options["mask"])
        return super().sendFrame(opcode=opcode, payload=to_bytes(payload), **options)

    def sendMessage(self, payload, isBinary=False, **options):
        """Ignores messages after the close. Autobahn now raises an error for them."""
        if self.state == WebSocketProtocol.STATE_OPEN:
            return super().sendMessage(to_bytes(payload), bool(isBinary), **options)

    def sendMessageFrameData(self, payload, sync=False):
        return super().sendMessageFrameData(to_bytes(payload), sync)

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        reason = None if reasonUtf8 is None else to_bytes(reasonUtf8)
        return super().sendCloseFrame(code=code, reasonUtf8=reason, isReply=isReply)


def watch_errors():
    """Prints errors of the suite itself, which would otherwise look like failures of the server or stay hidden. Returns
    the list of errors."""
    errors = []

    def observe(event):
        if event.get("isError"):
            failure = event.get("failure")
            errors.append(failure.getTraceback() if failure else log.textFromEventDict(event))
            print("wstest:", errors[-1], file=sys.stderr)

    log.startLoggingWithObserver(observe, setStdout=False)
    return errors

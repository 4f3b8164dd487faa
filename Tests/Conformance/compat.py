"""What the converted suite runs on, installed beside it as `_compat.py`, see port.py.

A case's payload is a string of octets, as it was in Python 2: one character, U+0000 to U+00FF, is one octet, and all
that the cases do to their payloads means what it meant. Octets become bytes, and bytes octets, where a case calls the
protocol and the protocol a case. What Autobahn has changed since 0.10.9, which the suite was made for, is undone as far
as it would show on the wire or in a verdict.
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
    """For a report: what Python 2 wrote as it was, UTF-8 mostly."""
    if octets is None:
        return None
    try:
        return to_bytes(octets).decode(errors="replace")
    except UnicodeEncodeError:
        return octets  # no octets: it was text in Python 2 too


def same(one, other):
    """Equal in value and type. The suite compares pickles, which in Python 3 differ for equal values."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def message_sizes(sizes):
    """Sizes, numbers, timeouts and fragment sizes of the messages in 12.* and 13.*: WSTEST_PMD_MESSAGES of each size
    instead of 1000."""
    most = int(os.environ.get("WSTEST_PMD_MESSAGES", "1000"))
    if most < 1:
        raise ValueError("WSTEST_PMD_MESSAGES")
    return [(size, min(most, count), timeout, fragment) for size, count, timeout, fragment in sizes]


def resource_filename(_package, name):
    """As in pkg_resources, which is no more."""
    return str(pathlib.Path(__file__).resolve().parent / name)


def log_binary(data, limit=64):
    """The first octets for the wire log, in hexadecimal."""
    shown = hexadecimal(data)
    return shown if len(data) <= limit - 4 else shown[:2 * limit] + " ..."


def log_text(data, limit=64, replace=False):
    """The first octets for the wire log, as text if they are."""
    data = to_bytes(data)
    if len(data) > limit - 4:
        data = data[:limit] + b" ..."
    try:
        return data.decode(errors="replace" if replace else "strict")
    except UnicodeDecodeError:
        return "0x" + log_binary(data, limit)


class ExactTimer:
    """In place of the factory's timers, which end in whole seconds: the 1 s for a closing handshake was anything from 0
    to 1 s, and a peer that answers at once was UNCLEAN now and then."""

    call_later = staticmethod(reactor.callLater)


class Boundary:
    """The first base of the suite's protocol."""

    debug = False

    def failConnection(self, *arguments, **options):
        return self._fail_connection(*arguments, **options)

    def drop_nagle(self):
        """Autobahn sets TCP_NODELAY before it knows that it should; chopped frames would come in one piece."""
        self.transport.setTcpNoDelay(True)

    def onCloseFrame(self, code, reason):
        """Keeps the code as it came. Autobahn makes 1000 of an invalid one, and hides it from the verdict."""
        result = super().onCloseFrame(code, reason)
        self.remoteCloseCode = code
        return result

    def sendData(self, data, sync=False, chopsize=None):
        """Joins the offers of 13.7.* as the original does."""
        if self.state == WebSocketProtocol.STATE_CONNECTING and b",permessage-deflate" in data:
            data = data.replace(b",permessage-deflate", b", permessage-deflate")
            self.http_request_data = data
        return super().sendData(data, sync, chopsize)

    def sendFrame(self, opcode, payload=b"", **options):
        if options.get("mask") is not None:
            options["mask"] = to_bytes(options["mask"])
        return super().sendFrame(opcode=opcode, payload=to_bytes(payload), **options)

    def sendMessage(self, payload, isBinary=False, **options):
        """Ignores what comes too late, where Autobahn has come to raise an error."""
        if self.state == WebSocketProtocol.STATE_OPEN:
            return super().sendMessage(to_bytes(payload), bool(isBinary), **options)

    def sendMessageFrameData(self, payload, sync=False):
        return super().sendMessageFrameData(to_bytes(payload), sync)

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        reason = None if reasonUtf8 is None else to_bytes(reasonUtf8)
        return super().sendCloseFrame(code=code, reasonUtf8=reason, isReply=isReply)


def watch_errors():
    """Prints what goes wrong in the suite itself, which would look like the server's failure or like nothing. Returns
    the list that it goes to."""
    errors = []

    def observe(event):
        if event.get("isError"):
            failure = event.get("failure")
            errors.append(failure.getTraceback() if failure else log.textFromEventDict(event))
            print("wstest:", errors[-1], file=sys.stderr)

    log.startLoggingWithObserver(observe, setStdout=False)
    return errors

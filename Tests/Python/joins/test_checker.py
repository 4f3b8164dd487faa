"""The checker finds faults of servers: small chats of the plain protocol, each with one kind of fault."""

import asyncio
import contextlib
import logging

import pytest
import websockets

from support import joins_checker

# Some clients give up during the handshake, which would be logged.
silent = logging.getLogger("silent")
silent.disabled = True


class Chat:
    """A chat with a fault, which is a method, in every fiftieth message. With `deaf` every fifth client gets
    nothing."""

    def __init__(self, fault):
        self.fault = getattr(self, fault)
        self.has_deaf = fault == "deaf"
        self.clients = []
        self.messages = self.joins = 0
        self.held = {}

    async def serve(self, client):
        self.joins += 1
        if not self.has_deaf or self.joins % 5:
            self.clients.append(client)
        with contextlib.suppress(websockets.ConnectionClosed):
            async for message in client:
                self.messages += 1
                if self.messages % 50:
                    self.send(self.clients, message)
                else:
                    self.fault(message)
        with contextlib.suppress(ValueError):
            self.clients.remove(client)

    def send(self, clients, message):
        for client in clients:
            websockets.broadcast([client], message)
            if held := self.held.pop(client, None):
                websockets.broadcast([client], held)

    def none(self, message):
        self.send(self.clients, message)

    deaf = none

    def gap(self, message):
        self.send(self.clients[:-1], message)

    def gap_for_all(self, message):
        pass

    def repetition(self, message):
        self.send(self.clients, message)
        self.send(self.clients[-1:], message)

    def order(self, message):
        self.send(self.clients[:-1], message)
        self.held[self.clients[-1]] = message

    def bytes(self, message):
        self.send(self.clients[:-1], message)
        self.send(self.clients[-1:], message[:-1])

    def end(self, message):
        self.send(self.clients, message)
        self.clients[-1].transport.abort()


async def run(fault, seconds=0.8):
    """Returns the checker's output and exit code."""
    async with websockets.serve(Chat(fault).serve, "127.0.0.1", 0, ping_interval=None, logger=silent) as server:
        process = await asyncio.create_subprocess_exec(
            joins_checker.PROGRAM, str(server.sockets[0].getsockname()[1]), "--rich", "0", "--rate", "200", "--members", "10",
            "--seconds", str(seconds), "--patience", "1", stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        return output.decode(), process.returncode


@pytest.mark.parametrize("fault, text", [
    ("deaf", "has received nothing for "), ("gap", "and then received position "), ("gap_for_all", " after its message "),
    ("repetition", " again or too late, after position "), ("order", "and then received position "),
    ("bytes", "got bytes that were not sent"), ("end", "lost its connection without a close frame")])
def test_checker_finds_fault(fault, text):
    joins_checker.build()
    # On a slow machine, a short run may end before the fault.
    for seconds in (0.8, 4, 20):
        output, code = asyncio.run(run(fault, seconds))
        if code:
            break
    assert code == 1 and text in output, output


def test_checker_finds_no_fault_in_correct_chat():
    joins_checker.build()
    output, code = asyncio.run(run("none"))
    assert code == 0 and output.endswith("; 0 faults\n"), output

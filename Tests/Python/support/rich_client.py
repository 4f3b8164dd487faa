"""A client of the rich protocol that checks all events, sent and received, against the schema."""

import contextlib
import functools
import json
import secrets

import jsonschema
import websockets

from support.confab_process import ROOT

DOCUMENTS = ROOT / "Sources" / "ConfabChat" / "ConfabChat.docc"
SCHEMA = json.loads((DOCUMENTS / "Resources" / "chat.confab.v1.schema.json").read_text())
SUBPROTOCOL = "chat.confab.v1"

# Here, because it takes half a second, in which a test's short times would pass.
jsonschema.Draft202012Validator.check_schema(SCHEMA)


@functools.cache
def validator(side):
    schema = {"$ref": f"#/$defs/{side}Event", "$defs": SCHEMA["$defs"]}
    return jsonschema.Draft202012Validator(schema)


@functools.lru_cache(1 << 16)
def check(side, text):
    """Checks that the text is an event of that side, `client` or `server`. Cached, because many clients receive equal
    events."""
    error = jsonschema.exceptions.best_match(validator(side).iter_errors(json.loads(text)))
    assert error is None, f"{text}: {error}"


class Rich:
    def __init__(self, socket):
        self.socket = socket
        #: All received events, in order.
        self.heard = []
        #: The welcome of the room of the path.
        self.welcome = None

    async def send_text(self, text):
        """Sends text that may not be a valid event."""
        await self.socket.send(text)

    async def send(self, type, **members):
        text = json.dumps({"type": type, **members})
        check("client", text)
        await self.socket.send(text)

    async def next(self):
        """Returns the next event."""
        text = await self.socket.recv()
        assert isinstance(text, str)
        check("server", text)
        event = json.loads(text)
        self.heard.append(event)
        if event["type"] == "welcome":
            self.welcome = self.welcome or event
        return event

    async def until(self, type, **members):
        """Returns the next event of the type with these members. Skips others."""
        while True:
            event = await self.next()
            if event["type"] == type and all(event.get(name) == value for name, value in members.items()):
                return event

    async def hello(self, name, **members):
        """Joins and returns the welcome."""
        await self.send("hello", name=name, **members)
        return await self.until("welcome")

    async def say(self, text, tag=None):
        """Sends a message and waits until it comes back."""
        tag = tag or secrets.token_urlsafe(9)
        await self.send("say", tag=tag, text=text)
        while True:
            event = await self.next()
            if event.get("tag") == tag and (event["type"] == "error" or self.is_own(event)):
                return event

    def is_own(self, message):
        return message.get("member") == self.welcome["member"]

    async def error(self, type, **members):
        """Sends an event and returns the error that must follow."""
        await self.send(type, **members)
        return await self.until("error")

    def messages(self):
        return [event for event in self.heard if event["type"] == "message"]


@contextlib.asynccontextmanager
async def open_rich(server, path="", **options):
    options = {"compression": None, "max_size": None, "max_queue": None} | options
    async with websockets.connect(server.ws + path, subprotocols=[SUBPROTOCOL], **options) as socket:
        assert socket.subprotocol == SUBPROTOCOL
        yield Rich(socket)


@contextlib.asynccontextmanager
async def rich(server, name, path="", **members):
    """A client that has joined."""
    async with open_rich(server, path) as client:
        await client.hello(name, **members)
        yield client


def as_plain(message):
    """Returns the message as clients of the plain protocol get it, without the time."""
    return f"来自用户{message['from']}\n{message['text']}" if "from" in message else message["text"]


def ids(event):
    """Returns the offsets of the messages in a welcome or a page."""
    return [message["id"] for message in event["messages"]]


def texts(event):
    """Returns the texts of the messages in a welcome or a page."""
    return [message["text"] for message in event["messages"]]


async def fill(server, path, count, text="x"):
    """Sends `count` messages by the plain protocol. A rich client is connected, so the room keeps a history."""
    async with open_rich(server, path), websockets.connect(server.ws + path, compression=None, max_size=None) as client:
        for number in range(count):
            await client.send(f"{text}{number + 1}")
            await client.recv()

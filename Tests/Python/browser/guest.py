"""A client of the rich protocol without a browser."""

import json
import secrets

from websockets.sync.client import connect


class Guest:
    def __init__(self, server, name, room="", **hello):
        self.name = name
        self.events = []
        self.socket = connect(server.ws + room, subprotocols=["chat.confab.v1"], max_size=None)
        self.send("hello", name=name, **hello)
        self.welcome = self.hear("welcome")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, type, **event):
        self.socket.send(json.dumps({"type": type, **event}))

    def hear(self, *types):
        """Returns the next event of one of the types."""
        while True:
            self.events.append(json.loads(self.socket.recv(20)))
            if self.events[-1]["type"] in types:
                return self.events[-1]

    def say(self, text, tag=None):
        """Sends a message and waits until the server has published it."""
        tag = tag or secrets.token_hex(8)
        self.send("say", tag=tag, text=text)
        while (event := self.hear("message", "error")).get("tag") != tag:
            pass
        assert event["type"] == "message", event
        return event

    def messages(self, count):
        """Returns all messages since this guest joined, once there are at least `count`."""
        while len(texts := [event["text"] for event in self.events if event["type"] == "message"]) < count:
            self.hear("message")
        return texts


def say_plainly(server, texts, room=""):
    """Sends messages with a plain client and waits until it receives the last one. A rich client is connected, so the
    room keeps a history."""
    with (connect(server.ws + room, subprotocols=["chat.confab.v1"]),
          connect(server.ws + room, max_size=None, max_queue=None) as socket):
        for text in texts:
            socket.send(text)
        while socket.recv(20) != texts[-1]:
            pass

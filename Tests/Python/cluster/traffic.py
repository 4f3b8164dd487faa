"""Traffic of users at several servers, some of which die, and a check that all users got the same messages."""

import asyncio
import contextlib
import itertools
import json
import random
import secrets

import websockets

SUBPROTOCOL = "chat.confab.v1"
OPTIONS = {"compression": None, "max_size": None, "max_queue": None, "open_timeout": 5, "close_timeout": 1}


async def pause(number, rate):
    """Sleeps before every tenth message, for an average of `rate` messages per second."""
    if number % 10 == 0:
        await asyncio.sleep(random.expovariate(rate / 10))


class Person:
    """A client of the rich protocol. It resumes at any running server, and sends unacknowledged messages again."""

    def __init__(self, name, servers, rate):
        self.name, self.servers, self.rate = name, servers, rate
        self.session = self.member = self.epoch = None
        #: Received messages, each once, in order.
        self.heard = []
        self.said = []
        #: Sent messages that were not received back: tag and text.
        self.unheard = {}
        self.is_silent = False
        self.visits = self.gaps = 0
        self.moments = []

    @property
    def last(self):
        return self.heard[-1]["id"] if self.heard else 0

    def hear(self, message):
        # Messages in flight at the time of a page request are also in the page.
        if message["id"] > self.last:
            self.heard.append(message)
        if message.get("member") == self.member:
            self.unheard.pop(message["tag"], None)

    async def say(self, socket):
        for number in itertools.count(len(self.said)):
            await pause(number, self.rate)
            while len(self.unheard) > 30 or self.is_silent:
                await asyncio.sleep(0.05)
            tag, text = secrets.token_urlsafe(9), f"{self.name} {number}"
            self.said.append(text)
            self.unheard[tag] = text
            await socket.send(json.dumps({"type": "say", "tag": tag, "text": text}))

    async def visit(self):
        server = random.choice(self.servers)
        if not server:
            return await asyncio.sleep(0.1)
        async with websockets.connect(server.ws, subprotocols=[SUBPROTOCOL], **OPTIONS) as socket:
            hello = {"type": "hello", "name": self.name, "history": 0}
            if self.epoch:
                hello |= {"session": self.session, "epoch": self.epoch, "after": self.last}
            await socket.send(json.dumps(hello))
            welcome = None
            while not welcome:
                event = json.loads(await socket.recv())
                if event["type"] == "error":
                    assert event["code"] == "nameTaken", event
                    return await asyncio.sleep(0.3)
                if event["type"] == "welcome":
                    welcome = event
            self.visits += 1
            self.gaps += welcome["gap"]
            self.session, self.member, self.epoch = welcome["session"], welcome["member"], welcome["epoch"]
            live, more = [], welcome["more"]
            for message in welcome["messages"]:
                self.hear(message)
            while more:
                await socket.send(json.dumps({"type": "history", "after": self.last, "count": 100}))
                while (event := json.loads(await socket.recv()))["type"] != "history":
                    assert event["type"] != "error", event
                    if event["type"] == "message":
                        live.append(event)
                for message in event["messages"]:
                    self.hear(message)
                more = event["more"]
            for message in live:
                self.hear(message)
            for tag, text in list(self.unheard.items()):
                await socket.send(json.dumps({"type": "say", "tag": tag, "text": text}))
            talking = asyncio.create_task(self.say(socket))
            try:
                async for text in socket:
                    event = json.loads(text)
                    assert event["type"] != "error", event
                    if event["type"] == "message":
                        self.hear(event)
            finally:
                talking.cancel()
                await asyncio.gather(talking, return_exceptions=True)

    async def live(self):
        while True:
            with contextlib.suppress(OSError, websockets.WebSocketException, TimeoutError):
                await self.visit()
            await asyncio.sleep(random.uniform(0.05, 0.3))


class Plain:
    """A client of the plain protocol. It cannot resume, so it uses one server only."""

    def __init__(self, name, server, rate):
        self.name, self.server, self.rate = name, server, rate
        self.heard, self.said = [], []
        self.is_silent = False

    async def live(self):
        async with websockets.connect(self.server.ws, **OPTIONS) as socket:
            async def say():
                for number in itertools.count():
                    await pause(number, self.rate)
                    while self.is_silent:
                        await asyncio.sleep(0.05)
                    text = f"{self.name} {number}"
                    self.said.append(text)
                    await socket.send(text)

            talking = asyncio.create_task(say())
            try:
                async for text in socket:
                    self.heard.append(text.split("\n")[-1])
            finally:
                talking.cancel()


async def record(server):
    """Returns all messages of the room, from the first one."""
    async with websockets.connect(server.ws, subprotocols=[SUBPROTOCOL], **OPTIONS) as socket:
        await socket.send(json.dumps({"type": "hello", "name": f"recorder {secrets.token_hex(4)}", "history": 100}))
        while (event := json.loads(await socket.recv()))["type"] != "welcome":
            pass
        messages = event["messages"]
        while messages:
            await socket.send(json.dumps({"type": "history", "before": messages[0]["id"], "count": 100}))
            while (event := json.loads(await socket.recv()))["type"] != "history":
                assert event["type"] != "error", event
                await asyncio.sleep(event.get("retryAfter", 0) / 1000)
            messages = event["messages"] + messages
            if not event["more"]:
                return messages
        return []


def check(messages, people, plain):
    """Counts the faults by comparing all clients with the final messages of the room."""
    ids = [message["id"] for message in messages]
    texts = [message["text"] for message in messages]
    faults = {"lost": 0, "duplicated": len(texts) - len(set(texts)), "reordered": 0, "unlike": 0, "gaps": 0}
    places = {text: place for place, text in enumerate(texts)}
    assert ids == sorted(set(ids))
    for one in [*people, *plain]:
        own = [places[text] for text in one.said if text in places]
        faults["lost"] += len(one.said) - len(own)
        faults["reordered"] += sum(later < earlier for earlier, later in zip(own, own[1:]))
        heard = [message["text"] for message in one.heard] if one in people else one.heard
        if heard:
            first = places[heard[0]]
            faults["unlike"] += heard != texts[first:first + len(heard)]
    faults["gaps"] = sum(person.gaps for person in people)
    return faults


async def settle(people, plain, patience=60):
    """Stops all senders, and waits until all their messages have been delivered."""
    for one in [*people, *plain]:
        one.is_silent = True
    end = asyncio.get_running_loop().time() + patience
    while True:
        said = sum(len(one.said) for one in [*people, *plain])
        waiting = sum(len(person.unheard) for person in people)
        behind = sum(not set(one.said) <= set(one.heard) for one in plain)
        if waiting + behind == 0:
            # Messages of other senders arrive within a moment.
            return await asyncio.sleep(1)
        assert asyncio.get_running_loop().time() < end, (
            f"{waiting} of {said} not received, {behind} behind", [set(one.said) - set(one.heard) for one in plain])
        await asyncio.sleep(0.1)

"""A client of the rich protocol that sometimes loses its connection, delivers all of its messages nevertheless, and
must receive all messages of its room, once, in order."""

import asyncio
import json
import random

import websockets


class Room:
    """The record of a room: the id of each member's tags, and who has sent which messages."""

    def __init__(self, path):
        self.path = path
        self.tags = {}
        self.numbers = set()
        self.problems = []

    def note(self, message):
        tag, number = (message.get("member"), message.get("tag")), message["id"]
        self.numbers.add(number)
        if tag[1] and self.tags.setdefault(tag, number) != number:
            self.problems.append(f"{tag} has the numbers {self.tags[tag]} and {number}")


class Talker:
    def __init__(self, room, name, soak):
        self.room, self.name, self.soak = room, name, soak
        self.session = self.member = self.epoch = None
        self.first = self.last = 0
        self.numbers = set()
        self.heard = set()
        self.unheard = {}
        self.count = 0
        self.connects = 0

    async def live(self):
        while not (self.soak.is_over and not self.unheard):
            try:
                await self.visit()
            except (websockets.WebSocketException, OSError, EOFError, TimeoutError):
                await asyncio.sleep(random.uniform(0.05, 0.5))

    async def visit(self):
        """Runs one connection until it breaks or this client closes it."""
        async with websockets.connect(
                self.soak.server.ws + self.room.path, subprotocols=["chat.confab.v1"], max_queue=None, max_size=None,
                open_timeout=20, close_timeout=2, ping_interval=None) as socket:
            self.connects += 1
            await self.come_in(socket)
            for tag, text in self.unheard.items():
                await self.say(socket, tag, text)
            hearing = asyncio.create_task(self.hear(socket))
            try:
                await self.talk(socket, hearing)
            finally:
                hearing.cancel()
                await asyncio.gather(hearing, return_exceptions=True)
            if random.random() < 0.5:
                socket.transport.abort()

    async def come_in(self, socket):
        hello = {"type": "hello", "name": self.name, "history": 0}
        if self.session:
            hello |= {"session": self.session, "epoch": self.epoch, "after": self.last}
        while True:
            await socket.send(json.dumps(hello))
            while (event := json.loads(await asyncio.wait_for(socket.recv(), 30)))["type"] not in ("welcome", "error"):
                pass
            if event["type"] == "welcome":
                break
            if event["code"] != "nameTaken":
                raise AssertionError(event)
            hello["name"] = event["proposal"]
        if self.epoch and (event["epoch"] != self.epoch or event["gap"]):
            self.room.problems.append(f"{self.name} has a gap after {self.last}: the welcome begins with {event['oldest']}")
        if not self.epoch:
            self.first = self.last = event["last"]
        self.session, self.member, self.epoch = event["session"], event["member"], event["epoch"]
        ahead = []
        self.take(event["messages"])
        more, last = event["more"], event["last"]
        while more:
            await socket.send(json.dumps({"type": "history", "after": self.last, "count": 100}))
            while (page := json.loads(await asyncio.wait_for(socket.recv(), 30)))["type"] != "history":
                if page["type"] == "message":
                    ahead.append(page)
                elif page["type"] == "error":
                    await asyncio.sleep(page.get("retryAfter", 500) / 1000)
                    await socket.send(json.dumps({"type": "history", "after": self.last, "count": 100}))
            self.take(page["messages"])
            more = page["more"]
        self.last = max(self.last, last)
        self.take([message for message in ahead if message["id"] > self.last])

    def take(self, messages):
        for message in messages:
            if message["id"] <= self.last:
                # A repeated message is delivered again, to its sender only.
                if (message.get("member"), message.get("tag")) not in self.heard:
                    self.room.problems.append(f"{self.name} receives {message['id']} after {self.last}")
            else:
                self.last = message["id"]
                self.numbers.add(self.last)
                self.soak.heard += 1
                self.heard.add((message.get("member"), message.get("tag")))
            self.room.note(message)
            is_own = message.get("member") == self.member
            said = self.unheard.pop(message["tag"], None) if is_own else None
            if said is not None and said != message.get("text"):
                self.room.problems.append(f"{message['tag']} has another text")

    async def hear(self, socket):
        async for text in socket:
            event = json.loads(text)
            if event["type"] == "message":
                self.take([event])
            elif event["type"] == "error" and event["code"] == "rateLimited":
                await asyncio.sleep(event["retryAfter"] / 1000)
                if event.get("tag") in self.unheard:
                    await self.say(socket, event["tag"], self.unheard[event["tag"]])

    async def talk(self, socket, hearing):
        loop = asyncio.get_running_loop()
        end = loop.time() + random.expovariate(1 / 60)
        while not hearing.done() and (self.unheard if self.soak.is_over else loop.time() < end):
            if not self.soak.is_over and len(self.unheard) < 5:
                self.count += 1
                # Other members use the same tags.
                tag, text = f"{self.count}", "x" * random.choice((1, 20, 200, 2000))
                self.unheard[tag] = text
                self.soak.said += 1
                await self.say(socket, tag, text)
            await asyncio.wait([hearing], timeout=random.expovariate(2))
        if hearing.done():
            hearing.result()

    async def say(self, socket, tag, text):
        await socket.send(json.dumps({"type": "say", "tag": tag, "text": text}))

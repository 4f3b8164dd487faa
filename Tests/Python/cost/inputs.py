"""Everything that a client can send, each kind at its legal extremes and beyond them."""

import dataclasses
import json
import typing

from cost.server import Client, bytes_frame, message, random_text, upgrade
from support.confab_process import ROOT
from support.raw_client import HANDSHAKE, head
from support.tokens import token

LIMIT = 4000
MEBIBYTE = 1 << 20
#: The longest event that the server reads, see Protocol.md.
LONGEST = 51 * LIMIT + 8192


@dataclasses.dataclass
class Input:
    """An input that is sent repeatedly, each time after the server has finished the previous one."""
    name: str
    #: Returns the data to send, from the repetition's number and the clients that `room` has returned.
    data: typing.Callable
    rich: bool = False
    compressed: bool = False
    #: Prepares the room. The returned clients stay connected during the measurement.
    room: typing.Callable | None = None
    #: Maximum number of repetitions on one connection.
    most: int = 1 << 30
    #: Whether each repetition opens a connection. It is read until `until` arrives or it ends. The data are a list of
    #: pieces; each is sent after the reply to the previous one.
    connects: bool = False
    until: bytes | None = None
    #: Memory in bytes that each room may keep, if every repetition has its own room.
    left: int | None = None
    #: Bytes that count for the byte rate: those of the inflated message.
    size: int = 0
    #: Whether the server checks tokens, and the client is a moderator with a token.
    moderates: bool = False

    @property
    def is_short(self):
        return self.name in SHORT


INPUTS = []
#: Inputs of the short form: the worst of each kind.
SHORT = {
    "empty message", "empty ping", "1 MiB of one letter, compressed",
    "1 MiB of control characters, delivered to a rich client, compressed",
    "say of 4,000 characters with 7 accents, compressed", "say of blanks, compressed", "malformed: no type",
    "enter a new room and leave it", "enter a room with history and leave it", "token, valid", "ban and unban",
    "256 members with escaped names, compressed", "array, compressed", "history before, of control characters",
    "join with history, of control characters", "join a new room", "GET of the page",
}


def add(name, data, **options):
    INPUTS.append(Input(name, data, **options))


def text(name, payload, *, binary=False, rich=False, **options):
    """Adds a message, uncompressed and compressed. The payload may depend on the repetition's number."""
    make = payload if callable(payload) else lambda number: payload
    size = len(make(0).encode() if isinstance(make(0), str) else make(0))
    for compressed in (False, True):
        if compressed and size < 16:
            continue
        add(name + (", compressed" if compressed else ""),
            lambda number, kept, compressed=compressed: message(make(number), binary=binary, compressed=compressed),
            rich=rich, compressed=compressed, size=size, **options)


def event(name, /, **members):
    options = {key: members.pop(key) for key in ("most", "escaped", "moderates") if key in members}
    # A function prepares a room; a text is the event's member.
    if callable(members.get("room")):
        options["room"] = members.pop("room")
    escaped = options.pop("escaped", False)

    def payload(number):
        return json.dumps({key: value(number) if callable(value) else value for key, value in members.items()},
                          ensure_ascii=escaped)
    text(name, payload, rich=True, **options)


def tag(number):
    return f"tag-{number}"


# The plain protocol.

text("chat message of 64 bytes", "x" * 64)
text("empty message", "")
text("4 KB of text", random_text(4096))
text("1 MiB of text", random_text(MEBIBYTE))
text("1 MiB of one letter", "x" * MEBIBYTE)
text("1 MiB of three-byte characters", "語" * (MEBIBYTE // 3))
text("1 MiB, binary", bytes(MEBIBYTE), binary=True)


def witness(server, path):
    """Connects a client of the rich protocol that receives the plain clients' messages."""
    return [Client(server, path, rich=True, name="witness")]


text("64 bytes, delivered to a rich client", "x" * 64, room=witness)
text("1 MiB of text, delivered to a rich client", random_text(MEBIBYTE), room=witness)
text("1 MiB of control characters, delivered to a rich client", "\x01" * MEBIBYTE, room=witness)
text("1 MiB, binary, delivered to a rich client", bytes(MEBIBYTE), binary=True, room=witness)
add("64 bytes in 64 fragments", lambda number, kept: b"".join(
    bytes_frame(1 if index == 0 else 0, b"x", index == 63) for index in range(64)))
add("16,384 empty fragments", lambda number, kept: b"".join(
    bytes_frame(1 if index == 0 else 0, b"", index == 16_383) for index in range(16_384)))
add("empty ping", lambda number, kept: bytes_frame(9, b""))
add("ping of 125 bytes", lambda number, kept: bytes_frame(9, b"x" * 125))
add("pong", lambda number, kept: bytes_frame(10, b""))

# The rich protocol.

def large_message(server, path):
    """Publishes a message as large as a member can."""
    author = Client(server, path, rich=True, name="author")
    author.send(message(json.dumps({"type": "say", "tag": "large", "text": COMBINING * LIMIT}), compressed=False))
    return [author]


COMBINING = "e" + "\u0301" * 7
event("say of 64 characters", type="say", tag=tag, text="x" * 64)
event("say of one character", type="say", tag=tag, text="x")
event("say of 4,000 letters", type="say", tag=tag, text=random_text(LIMIT))
event("say of 4,000 emoji", type="say", tag=tag, text="👍" * LIMIT)
event("say of 4,000 characters with 7 accents", type="say", tag=tag, text=COMBINING * LIMIT)
event("say of 4,000 characters with 7 accents, escaped", type="say", tag=tag, text=COMBINING * LIMIT, escaped=True)
event("say of 32,000 newlines and tabs", type="say", tag=tag, text="x" + "\r\n" * LIMIT + "\t\t\t" * 900)
event("say of blanks", type="say", tag=tag, text=" " + "\ufe0f" * 21_000)
event("say of control characters", type="say", tag=tag, text="x" + "\x01" * 34_000, escaped=True)
event("say with too many characters", type="say", tag=tag, text=COMBINING * (LIMIT - 1) + "x" * 9)
event("say beyond the maximum event size", type="say", tag=tag, text="x" * LONGEST)
event("say with a used tag", type="say", tag="tag", text="x" * 64)
event("say with a used tag, 4,000 characters with 7 accents", type="say", tag="tag", text=COMBINING * LIMIT)
event("say with an invalid tag", type="say", tag="#" * 64, text="x")
event("edit of an own message, 4,000 letters", type=lambda number: "edit" if number else "say", id=1, tag="first",
      text=random_text(LIMIT))
event("edit of an own message, one letter", type=lambda number: "edit" if number else "say", id=1, tag="first", text="x")
event("edit of another member's message", type="edit", id=1, text="x", room=large_message)
event("removal of a message that is not stored", type="remove", id=1 << 52)
event("token of 8 KiB, to a server without users", type="token", token="x" * 8192)
event("typing", type="typing")
event("rename", type="rename", name=lambda number: f"n{number}")
event("rename with many accents", type="rename", name=lambda number: f"{number}" + "é̂" * 24)
event("rename to a taken name", type="rename", name="WITNESS", room=witness)
event("rename of 1 KiB", type="rename", name="a\u0301\u0302" * 200)
event("second hello", type="hello", name="n")
event("unknown type", type="dance")
event("malformed: no type", most=9)
event("unknown member", type="typing", x="x" * (LONGEST - 100))
event("unknown member, escaped", type="typing", x="\u0301" * ((LONGEST - 100) // 6), escaped=True)


def json_event(name, beginning, piece, end, **options):
    text(name, beginning + piece * ((LONGEST - len(beginning) - len(end)) // len(piece)) + end, rich=True, **options)


json_event("many members", '{"type":"typing"', ',"a":0', "}", most=9)
text("256 members with escaped names", '{"type":"typing"' + ',"\\u0061":0' * 255 + "}", rich=True)
json_event("array", '{"type":"typing","x":[', "0,", "0]}")
json_event("array of objects", '{"type":"typing","x":[', '{"a":[]},', "0]}")
json_event("long number", '{"type":"typing","x":', "1", "}")
json_event("long number in a history event", '{"type":"history","after":', "1", "}", most=9)
json_event("spaces", '{"type":"typing"', " ", "}")
json_event("deep arrays", '{"type":"typing","x":', "[", "}", most=9)
json_event("missing end", '{"type":"say","tag":"t","text":"', "x", "", most=9)
json_event("invalid escape at the end", '{"type":"say","tag":"t","text":"', "\\u0301", '\\x"}', most=9)


# Pages of history. The rooms keep 1 MiB.

def filled(payload, count, **options):
    def fill(server, path):
        kept = witness(server, path)
        plain = Client(server, path)
        for _ in range(count):
            plain.send(message(payload, **options))
        server.settle(plain, *kept)
        plain.close()
        return kept
    return fill


ROOMS = {
    "1,000 small messages": filled("x" * 64, 1000),
    "large messages": filled("語" * 40_000, 12),
    "control characters": filled("\x01" * 100_000, 12),
    "quotes": filled('"' * 15_000, 30),
}
for label, fill in ROOMS.items():
    event(f"history before, of {label}", type="history", before=1 << 40, count=100, room=fill)
event("history after, of 1,000 small messages", type="history", after=500, count=100, room=ROOMS["1,000 small messages"])
event("deleted history", type="history", after=0, room=filled("x" * 4000, 1500))
event("history of an empty room", type="history", before=1)

# Connections.

WELCOME = b'"type":"welcome"}'


def visit(name, hello, *, until=WELCOME, path=lambda number: "/", **options):
    add(name, lambda number, kept: [upgrade(path(number), rich=True), message(json.dumps(hello, ensure_ascii=False))],
        connects=True, until=until, **options)


visit("join by name", {"type": "hello", "name": "Ann"})
visit("join with a long name, session and epoch", {
    "type": "hello", "name": "é̂" * 25, "session": "0123456789abcdef" * 3, "epoch": "e" * 64, "after": 1 << 60})
for label, fill in ROOMS.items():
    visit(f"join with history, of {label}", {"type": "hello", "name": "Ann", "history": 100}, room=fill)
visit("join with a taken name", {"type": "hello", "name": "witness"}, room=witness, until=b'"nameTaken"')
add("resume", lambda number, kept: [upgrade(rich=True), message(json.dumps({
    "type": "hello", "name": "Ann", "session": "0123456789abcdef" * 3, "epoch": kept[0].welcome()["epoch"],
    "after": 500}))], room=ROOMS["1,000 small messages"], connects=True, until=WELCOME)
add("join a new room", lambda number, kept: [upgrade(f"/{number}", rich=True), message(
    '{"type":"hello","name":"Ann"}') + message(json.dumps({"type": "say", "tag": "t", "text": random_text(LIMIT)}))],
    connects=True, until=b'"tag":"t"', left=LIMIT + 150 + 64 + 4096)
add("join in the plain protocol", lambda number, kept: [upgrade()], connects=True, until=b"\r\n\r\n")


# Several rooms over one connection.

def events(name, make, **options):
    """Adds several events that are sent together. `make` returns them for the repetition's number."""
    add(name, lambda number, kept: b"".join(message(json.dumps(one)) for one in make(number)), rich=True, **options)


def enter(room, **members):
    return {"type": "enter", "room": room, **members}


def leave(room):
    return {"type": "leave", "room": room}


def say(number, room, text):
    return {"type": "say", "room": room, "tag": tag(number), "text": text}


events("enter a room and leave it", lambda number: [enter("/a"), leave("/a")])
events("enter a new room and leave it", lambda number: [enter(f"/{number}"), leave(f"/{number}")], left=4096)
events("enter a room with history and leave it", lambda number: [enter("/full", history=100), leave("/full")],
       room=lambda server, path: ROOMS["1,000 small messages"](server, "/full"))
events("say in an entered room", lambda number: ([enter("/a")] if number == 0 else []) + [say(number, "/a", "x" * 64)])
events("enter and leave with a large session", lambda number: [
    enter(f"/{number}", session="x" * 200_000), leave(f"/{number}")], left=4096)
event("enter of the room of the path", type="enter", room="/")
event("enter of an invalid room", type="enter", room="/" + "a\u0301\u0302" * 60_000)
event("leave of another room", type="leave", room="/" + "x" * 1000)
event("say in another room", type="say", room="/other", tag=tag, text=random_text(LIMIT))

# Users and moderators.

VALID = token("moderator", name="n", rights=["read", "say", "history", "moderate"])
FORGED = VALID[:-43] + "A" * 43
event("token, valid", type="token", token=VALID, moderates=True)
event("token, forged", type="token", token=FORGED, moderates=True)
event("token of 8 KiB, forged", type="token", token=token("moderator", x="x" * 5900)[:-43] + "A" * 43, moderates=True)
event("token of 64 KiB", type="token", token="x" * 65_536, moderates=True)
event("mute", type="mute", name="WITNESS", room=witness, moderates=True)
events("ban and unban", lambda number: [
    {"type": "ban", "member": "0" * 16}, {"type": "unban", "restriction": "0" * 32}], moderates=True)
event("mute of an absent member", type="mute", name="nobody", moderates=True)
event("list of mutes", type="restrictions", room=witness, moderates=True)
visit("join with a token", {"type": "hello", "token": VALID}, moderates=True)
visit("join with a forged token", {"type": "hello", "token": FORGED}, until=b"tokenInvalid", moderates=True)
add("handshake with a token, 401", lambda number, kept: [head(HANDSHAKE | {"Authorization": f"Bearer {FORGED}"})],
    connects=True, until=b"\r\n\r\n", moderates=True)


# Requests.

def http(name, data, **options):
    add(name, lambda number, kept: [data], connects=True, **options)


def get(path="/", line=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return head({"Host": "localhost", "Connection": "close"} | headers, line or f"GET {path} HTTP/1.1")


http("GET of the page", get())
LARGEST = max((ROOT / "Sources" / "ConfabPage" / "Page").iterdir(), key=lambda file: file.stat().st_size)
http("GET of the largest file", get(f"/{LARGEST.name}"))
http("HEAD", get(line="HEAD / HTTP/1.1"))
http("GET, 404", get("/no-such-page"))
http("POST, 405", get(line="POST / HTTP/1.1", Content_Length="0"))
http("GET with a long path, 414", get("/" + "x" * 2000))
http("GET with long headers, 431", get(X_Long="x" * 12_000))
http("GET with many headers", get(**{f"X_{number}": "x" for number in range(200)}))
http("a malformed request", b"\x16\x03\x01" + b"x" * 60)
http("upgrade of another version, 426", head(HANDSHAKE | {"Sec-WebSocket-Version": "12"}))
http("upgrade without a key, 400", head(HANDSHAKE | {"Sec-WebSocket-Key": None}))
http("upgrade from another origin, 403", head(HANDSHAKE | {"Origin": "https://example.org"}))

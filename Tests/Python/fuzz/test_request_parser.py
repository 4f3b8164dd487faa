"""Compares the server's request parser with h11, a strict one: both accept or reject each generated or mutated request,
with equal path, headers and body length. `exception` explains intended differences.

SECONDS=n and SEED=n in the environment set the duration and the random numbers."""

import os
import random
import re
import struct
import subprocess
import time
import urllib.parse

import h11

from support.confab_process import ROOT

PROGRAM = ROOT / ".build/release/ParseRequests"

METHODS = [b"GET"] * 6 + [b"HEAD", b"OPTIONS", b"POST", b"get", b"M-SEARCH", b"G ET", b""]
TARGETS = [b"/", b"/tea", b"/a%20b?x=1&y", b"/c++", b"/r&d", b"/r;d", b"/a/../b", b"/%2e%2e/x", b"//a//b", b"/?", b"/a?b?c",
           b"http://localhost/tea", b"HTTP://LOCALHOST:80?x", b"ws://[::1]/", b"*", b"/%ff", b"/%E7%BE%A4", b"/100%", b"/%zz",
           b"/%00", b"tea", b"localhost:1", b"http://u@h/", b"/a#b", b"/\xc3\xa9", b"/a|b^c\"d", b"/" + b"x" * 300]
VERSIONS = [b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/1.1 ", b"http/1.1", b"HTTP/11", b""]
NAMES = [b"X-Auth", b"X", b"Auth", b"User", b"If", b"Origin", b"Cookie", b"Accept-L", b"X_Y", b"X Y", b"X\t", b"", b"X:", b"\xc3\xa9",
         b"Connection", b"Upgrade", b"Content-Length", b"Content-Length", b"Transfer-Encoding", b"Host", b"Expect"]
VALUES = [b"", b"1", b" 5 ", b"\t5\t", b"5, 5", b"5, 6", b"-1", b"+5", b"0", b"00", b"9" * 20, b"9" * 21, b"chunked", b"Chunked",
          b"gzip, chunked", b"localhost", b"a b", b"close, TE", b"\x01", b"\0", b"\x0b", b"\x7f", b"\xff", b"a\rb", b"x" * 500, b"a:b"]
ENDS = [b"\r\n"] * 12 + [b"\n", b"\r", b"\n\r", b"\r\n "]


def generated(r):
    end = lambda: r.choice(ENDS)
    lines = [b" ".join([r.choice(METHODS), r.choice(TARGETS), r.choice(VERSIONS)]) + end()]
    if r.random() < .9:
        lines.append(b"Host: localhost" + end())
    for _ in range(r.randrange(5)):
        lines.append(r.choice(NAMES) + r.choice([b":"] * 8 + [b": "] * 8 + [b" :", b""]) + r.choice(VALUES) + end())
    r.random() < .2 and r.shuffle(lines)
    return b"".join(lines) + r.choice([b"\r\n"] * 12 + [b"\n", b""]) + r.choice([b"", b"", b"hello", b"GET / HTTP/1.1\r\n"])


def mutated(r):
    raw = bytearray(generated(r))
    for _ in range(r.randrange(1, 4)):
        place = r.randrange(len(raw) + 1)
        match r.randrange(3):
            case 0: raw[place:place] = bytes([r.choice(b" \t\r\n:/%\0\x01\x7f\xff") if r.random() < .7 else r.randrange(256)])
            case 1: del raw[place:place + r.randrange(1, 4)]
            case 2: raw[place:place + 1] = bytes([r.randrange(256)])
    return bytes(raw)


def by_h11(raw):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=16 << 10)
    connection.receive_data(raw)
    try:
        request = connection.next_event()
    except h11.RemoteProtocolError as error:
        return ("rejected", str(error))
    return ("incomplete",) if request is h11.NEED_DATA else ("accepted", request)


def by_confab(raws):
    data = b"".join(struct.pack("!I", len(raw)) + raw for raw in raws)
    done = subprocess.run([PROGRAM], input=data, capture_output=True, check=True)
    return [line.split(" ") for line in done.stdout.decode().splitlines()]


def path_of(target):
    """Returns the path for a target by RFC 3986, None if it has none."""
    if target == b"*":
        return b"/"
    if not target.startswith(b"/"):
        scheme, mark, rest = target.partition(b"://")
        if not mark or scheme.lower() not in (b"http", b"https", b"ws", b"wss"):
            return None
        place = min((rest.find(mark) for mark in (b"/", b"?", b"#") if mark in rest), default=len(rest))
        authority = re.fullmatch(rb"(?:\[[\[\w.:%~-]*\]|(?!\[)[\w.~%\[\]-]+)(?::(\d{1,5}))?", rest[:place])
        if not authority or int(authority[1] or 0) > 65535:
            return None
        target = rest[place:]
    raw = target.split(b"?")[0]
    decoded = urllib.parse.unquote_to_bytes(raw)
    if b"%" in raw.replace(b"%25", b"") and any(
            len(part) < 2 or not all(digit in b"0123456789abcdefABCDEF" for digit in part[:2]) for part in raw.split(b"%")[1:]):
        return None
    if b"\0" in decoded:
        return None
    segments, ends = [], True
    for segment in decoded.split(b"/"):
        ends = segment in (b"", b".", b"..")
        if segment == b"..":
            segments = segments[:-1]
        elif not ends:
            segments.append(segment)
    path = b"".join(b"/" + segment for segment in segments) + (b"/" if ends or not segments else b"")
    # Bytes that are not UTF-8 stay encoded.
    return b"".join(
        f"%{ord(character) & 255:02X}".encode() if 0xDC80 <= ord(character) <= 0xDCFF else character.encode()
        for character in path.decode("utf-8", "surrogateescape"))


def exception(raw, reference):
    """Returns why the server may reject what h11 accepts, or the reverse."""
    lines = raw.split(b"\n")
    if raw[:1] in b"\r\n":
        return "an empty line before a request, which RFC 9112, section 2.2, has servers skip"
    if any(line[:1] in (b" ", b"\t") and line[:1] for line in lines[1:]):
        return "a folded line, which RFC 9112, section 5.2, has servers reject or unfold"
    head = raw.lower()
    if b"content-length" in head and b"transfer-encoding" in head:
        return "both lengths of a body, which RFC 9112, section 6.1, lets servers reject"
    if reference[0] == "accepted":
        request = reference[1]
        if path_of(request.target) is None and request.method in (b"GET", b"HEAD", b"OPTIONS"):
            return "the target is no path"
        if request.http_version[:1] != b"1":
            return "another version of HTTP, which is answered so"
        if request.http_version > b"1.1" and b"host" not in dict(request.headers):
            return "no Host, which h11 asks of HTTP/1.1 alone"
        if request.http_version == b"1.0" and b"transfer-encoding" in head:
            return "Transfer-Encoding in HTTP/1.0, which RFC 9112, section 6.1, calls faulty"
    return None


def test_parser_agrees_with_h11():
    seed = int(os.environ.get("SEED", 1))
    r, end = random.Random(seed), time.monotonic() + float(os.environ.get("SECONDS", 5))
    seen = {"accepted": 0, "rejected": 0, "incomplete": 0}
    # A slow machine takes longer, until each result has been seen often enough.
    while time.monotonic() < end or min(seen.values()) <= 100:
        raws = [generated(r) if r.random() < .5 else mutated(r) for _ in range(2000)]
        for raw, found in zip(raws, by_confab(raws), strict=True):
            reference = by_h11(raw)
            why = exception(raw, reference)
            # Incomplete requests may be rejected early or late.
            if why or (reference[0] != found[0] and "incomplete" in (reference[0], found[0])
                       and not is_whole(raw)):
                continue
            assert found[0] == reference[0], (seed, raw, found, reference)
            seen[found[0]] += 1
            if found[0] == "accepted":
                compare(seed, raw, found, reference[1])


def is_whole(raw):
    return any(mark in raw for mark in (b"\n\r\n", b"\n\n"))


def compare(seed, raw, found, request):
    _, method, path, query, body, rest, fields = found
    if method != "other":
        assert method.upper().encode() == request.method, (seed, raw)
        assert bytes.fromhex(path) == path_of(request.target), (seed, raw, bytes.fromhex(path))
    names = [tuple(bytes.fromhex(part) for part in field.split(":")) for field in fields.split(",") if field]
    lengths = (b"content-length",)
    # h11 keeps one of several equal lengths, and lowercases the transfer coding.
    expected = [(name, value) for name, value in request.headers if name not in (*lengths, b"transfer-encoding")]
    found_fields = [(name, value) for name, value in names if name not in (*lengths, b"transfer-encoding")]
    text = lambda pairs: [(name, value.decode("utf-8", "replace")) for name, value in pairs]
    assert text(found_fields) == text(expected), (seed, raw)
    headers = dict(request.headers)
    length = "chunked" if b"transfer-encoding" in headers else str(int(headers.get(b"content-length", b"0")))
    assert (body if body == "chunked" else str(int(body))) == length, (seed, raw, body, length)

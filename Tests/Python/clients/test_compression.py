"""permessage-deflate, RFC 7692: the negotiation and the messages on the wire."""

import asyncio
import os
import zlib

import pytest
import websockets

from support.confab_process import confab
from support.raw_client import RawClient, frame

BOTH = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
NARROW = BOTH + "; server_max_window_bits=9"
TEXT = "All work and no play makes Jack a dull boy. 只工作不玩耍，聪明孩子也变傻。" * 10


def deflate(data, bits=15, final=False):
    """Returns the payload of a compressed message. With `final` the DEFLATE stream ends."""
    stream = zlib.compressobj(6, zlib.DEFLATED, -bits)
    if final:
        return stream.compress(data) + stream.flush(zlib.Z_FINISH) + b"\0"
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def compressed(opcode, data, **options):
    return frame(opcode | 0x40, deflate(data, **options))


def message(client):
    """Returns the next message: opcode, data, and whether it was compressed."""
    data, first = b"", None
    while True:
        start = client.file.peek(1)[0]
        opcode, payload = client.frame()
        assert opcode in (0, 1, 2), (opcode, payload)
        if first is None:
            first = start
        else:
            assert start & 0x7f == 0
        data += payload
        if start & 0x80:
            break
    if first & 0x40:
        # Each message is a separate stream without references to earlier ones.
        data = zlib.decompressobj(-15).decompress(data + b"\0\0\xff\xff")
    return first & 15, data, bool(first & 0x40)


@pytest.fixture
def client(server):
    with RawClient(server.port) as client:
        headers = client.open(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits")
        assert headers["sec-websocket-extensions"] == BOTH
        yield client


@pytest.mark.parametrize("offer, answer", [
    ("permessage-deflate", BOTH),
    ("permessage-deflate; client_max_window_bits", BOTH),
    ("permessage-deflate;client_max_window_bits=9", BOTH),
    ("permessage-deflate; client_no_context_takeover; server_no_context_takeover", BOTH),
    ("permessage-deflate; server_no_context_takeover", BOTH),
    ("permessage-deflate; server_max_window_bits=15", BOTH),
    ("permessage-deflate; server_max_window_bits=\"14\"", NARROW),
    ("permessage-deflate; server_max_window_bits=9; client_max_window_bits=8", NARROW),
    ("permessage-deflate; server_max_window_bits=8", None),
    ("permessage-deflate; server_max_window_bits=8, permessage-deflate", BOTH),
    ("permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10", NARROW),
    ("permessage-deflate, permessage-deflate", BOTH),
    ("permessage-deflate, permessage-deflate; server_max_window_bits=10", BOTH),
    ("permessage-deflate; server_max_window_bits=10, permessage-deflate, permessage-deflate", NARROW),
    ("x-webkit-deflate-frame, permessage-deflate, permessage-bzip2", BOTH),
    ("permessage-deflate; client_max_window_bits, x-other; a=b", BOTH),
    ("permessage-deflate; foo", None),
    ("permessage-deflate; foo=1, permessage-deflate", BOTH),
    ("permessage-deflate; server_max_window_bits", None),
    ("permessage-deflate; server_max_window_bits=16", None),
    ("permessage-deflate; server_max_window_bits=09", None),
    ("permessage-deflate; client_max_window_bits=7", None),
    ("permessage-deflate; client_max_window_bits=x", None),
    ("permessage-deflate; server_no_context_takeover=1", None),
    ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
    ("permessage-deflate; ", None),
    ("x-other", None),
    (",,", None),
])
def test_negotiated_parameters(server, offer, answer):
    with RawClient(server.port) as client:
        headers = client.open(Sec_WebSocket_Extensions=offer)
        assert headers.get("sec-websocket-extensions") == answer
        client.send(compressed(1, TEXT.encode()) if answer else frame(1, TEXT.encode()))
        assert message(client) == (1, TEXT.encode(), answer is not None)


def test_long_offer_lists_are_parsed(server):
    with RawClient(server.port) as client:
        headers = client.open(Sec_WebSocket_Extensions=", ".join(["foo"] * 100 + ["permessage-deflate"] * 100))
        assert headers["sec-websocket-extensions"].startswith("permessage-deflate")


def test_compression_can_be_disabled():
    with confab("--no-compression") as server, RawClient(server.port) as client:
        assert "sec-websocket-extensions" not in client.open(Sec_WebSocket_Extensions="permessage-deflate")
        client.send(compressed(1, b"hello"))
        assert client.close_code() == 1002


def test_each_client_gets_its_negotiated_form(server):
    offers = [None, "permessage-deflate", "permessage-deflate; server_max_window_bits=10", None, "permessage-deflate"]
    clients = [RawClient(server.port) for _ in offers]
    for client, offer in zip(clients, offers):
        client.open(Sec_WebSocket_Extensions=offer)
    for sender in clients:
        # Random bytes don't compress. Short messages are not compressed.
        for data in (TEXT.encode(), os.urandom(1000), b"short", TEXT.encode() * 300):
            sender.send(frame(2, data))
            for client, offer in zip(clients, offers):
                assert message(client) == (2, data, offer is not None and data.startswith(TEXT.encode()))
    for client in clients:
        client.close()


def test_small_window_is_respected(server):
    with RawClient(server.port) as client:
        client.open(Sec_WebSocket_Extensions="permessage-deflate; server_max_window_bits=9")
        # With a wide window the second half would be found in the first one.
        data = (os.urandom(200) * 10 + os.urandom(2000)) * 2
        client.send(frame(2, data))
        payload = b""
        while True:
            start = client.file.peek(1)[0]
            payload += client.frame()[1]
            if start & 0x80:
                break
        assert zlib.decompressobj(-9).decompress(payload + b"\0\0\xff\xff") == data


@pytest.mark.parametrize("bits", [9, 12, 15])
def test_messages_with_all_fragmentations(client, bits):
    for data in (b"", b"x", TEXT.encode(), TEXT.encode() * 100, bytes(100_000), os.urandom(70_000)):
        payload = deflate(data, bits)
        client.send(frame(0x42, payload))
        assert message(client)[:2] == (2, data)
        half = len(payload) // 2
        # Fragments with a ping in between. The last fragment is empty.
        client.send(frame(0x42, payload[:half], final=False) + frame(9, b"ping") + frame(0, payload[half:], final=False))
        client.send(frame(0))
        assert client.frame() == (10, b"ping")
        assert message(client)[:2] == (2, data)


def test_message_may_have_several_deflate_streams(client):
    """RFC 7692, sections 7.2.3.4 and 7.2.3.5."""
    client.send(compressed(1, b"hello", final=True))
    assert message(client)[:2] == (1, b"hello")
    client.send(frame(0x41, deflate(b"hel", final=True)[:-1] + deflate(b"lo")))
    assert message(client)[:2] == (1, b"hello")
    stream = zlib.compressobj(0, zlib.DEFLATED, -15)
    client.send(frame(0x41, (stream.compress(b"stored") + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]))
    assert message(client)[:2] == (1, b"stored")


def test_uncompressed_messages_may_be_mixed_in(client):
    client.send(compressed(1, b"one") + frame(1, b"two") + compressed(1, b"three") + frame(2, b"four"))
    assert [message(client)[1] for _ in range(4)] == [b"one", b"two", b"three", b"four"]


@pytest.mark.parametrize("data, code", [
    (compressed(1, b"abc\xc3"), 1007),
    (compressed(1, b"ab\xff"), 1007),
    (frame(0x42, b"\xff\xff\xff\xff\x00\x01"), 1007),
    (frame(0x42, deflate(TEXT.encode())[:-5]), 1007),
    (frame(2, b"a", final=False) + frame(0x40, b"b"), 1002),
    (frame(0x42, deflate(b"a"), final=False) + frame(0x40, b"b"), 1002),
    (frame(0x21, b"a"), 1002),
    (frame(0x71, b"a"), 1002),
], ids=["cut character", "not UTF-8", "not deflate", "cut stream", "RSV1 later", "RSV1 again", "RSV2", "all bits"])
def test_invalid_compression_is_closed_with_its_code(client, data, code):
    client.send(data)
    assert client.close_code() == code


@pytest.mark.slow
@pytest.mark.parametrize("fragments", [1, 50])
def test_decompression_bomb_is_rejected_before_inflation(server, client, fragments):
    before = server.memory()
    payload = deflate(bytes(500 << 20))
    assert len(payload) < 1 << 20
    size = len(payload) // fragments + 1
    pieces = [payload[start:start + size] for start in range(0, len(payload), size)]
    for number, piece in enumerate(pieces):
        client.send(frame(0x42 if number == 0 else 0, piece, final=number == len(pieces) - 1))
    assert client.close_code() == 1009
    assert server.memory() - before < 8 << 20


def test_size_limit_applies_after_inflation(server, client):
    for data in (os.urandom(1 << 20), bytes(1 << 20)):
        client.send(compressed(2, data))
        assert message(client)[:2] == (2, data)
    client.send(compressed(2, bytes((1 << 20) + 1)))
    assert client.close_code() == 1009


@pytest.mark.slow
@pytest.mark.parametrize("level, memory, strategy", [
    (6, 8, zlib.Z_DEFAULT_STRATEGY), (1, 1, zlib.Z_DEFAULT_STRATEGY), (9, 1, zlib.Z_DEFAULT_STRATEGY), (0, 1, zlib.Z_DEFAULT_STRATEGY),
    (6, 1, zlib.Z_HUFFMAN_ONLY), (6, 9, zlib.Z_FIXED), (6, 1, zlib.Z_FIXED), (1, 5, zlib.Z_RLE)])
def test_largest_message_may_grow_by_compression(client, level, memory, strategy):
    data = os.urandom(1 << 20)
    stream = zlib.compressobj(level, zlib.DEFLATED, -15, memory, strategy)
    payload = (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
    assert len(payload) > len(data)
    client.send(frame(0x42, payload))
    assert message(client)[1] == data


def test_many_messages_with_a_client_library():
    async def main(server):
        async with websockets.connect(server.ws) as one, websockets.connect(server.ws, compression=None) as other:
            assert one.protocol.extensions and not other.protocol.extensions
            for number in range(200):
                text = f"{number} " + TEXT[: number * 5]
                await (one, other)[number % 2].send(text)
                assert await one.recv() == text and await other.recv() == text

    with confab("--loops", 2) as server:
        asyncio.run(asyncio.wait_for(main(server), 30))

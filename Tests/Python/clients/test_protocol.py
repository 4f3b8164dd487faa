"""Valid and invalid frames by RFC 6455, sent so that a TCP segment has several frames or a part of one."""

import itertools
import struct

import pytest

from support import libwebsockets
from support.raw_client import RawClient, frame, handshake, request


def close(code, reason=b""):
    return frame(8, struct.pack("!H", code) + reason)


@pytest.fixture
def client(server):
    with RawClient(server.port) as client:
        client.open()
        yield client


@pytest.fixture
def witness(server):
    """Another member of the room."""
    with RawClient(server.port) as witness:
        witness.open()
        yield witness


def heard(witness):
    """Returns the messages in the room so far: sends a last message and reads up to it."""
    witness.send(frame(1, b"the end"))
    return list(itertools.takewhile(lambda message: message != (1, b"the end"), witness.messages()))


# Text

TEXT = "aé€😀".encode()


@pytest.mark.parametrize("between", [b"", frame(10, b"\xff\xfe"), frame(0, final=False), frame(9, b"\xe2")],
                         ids=["nothing", "pongs", "empty fragments", "pings"])
def test_fragments_may_split_characters(client, between):
    pieces = [frame(0 if index else 1, bytes([byte]), final=False) for index, byte in enumerate(TEXT)]
    client.send(between.join(pieces) + frame(0))
    while (one := client.frame()) == (10, b"\xe2"):
        pass
    assert one == (1, TEXT)


@pytest.mark.parametrize("frames", [
    frame(1, b"abc\xc3"),
    frame(1, b"abc\xc3", final=False) + frame(0),
    frame(1, b"\xe2\x82", final=False) + frame(0, b"x"),
    frame(1, b"\x80"),
    frame(1, b"\xc0\xaf"),
    frame(1, b"\xed\xa0\x80"),
    frame(1, b"\xf4\x90\x80\x80"),
    # The error must come at once, not at the end of the message.
    frame(1, b"fine", final=False) + frame(0, b"\xff", final=False),
], ids=["cut", "cut, empty end", "cut by a letter", "rest", "overlong", "surrogate", "too high", "early"])
def test_invalid_utf8_is_not_broadcast(client, witness, frames):
    client.send(frames + frame(1, b"next"))
    assert client.close_code() == 1007
    assert heard(witness) == []


# Pings and pongs

def test_unsolicited_pongs_are_ignored(client):
    client.send(frame(10) + frame(1, b"one") + frame(10, b"\xff\xfe\xfd") + frame(1, b"two") + frame(10, b"x" * 125))
    assert client.frame() == (1, b"one")
    assert client.frame() == (1, b"two")
    client.send(frame(9, b"ping"))
    assert client.frame() == (10, b"ping")


@pytest.mark.parametrize("count", [2, 3, 100])
def test_each_ping_of_a_segment_gets_a_pong(client, count):
    pings = [f"{number}".encode() for number in range(count)]
    client.send(b"".join(frame(9, ping) for ping in pings))
    assert [client.frame() for _ in pings] == [(10, ping) for ping in pings]


def test_segment_of_pings_messages_and_close_is_processed_in_order(client):
    client.send(frame(1, b"1") + frame(9, b"a") + frame(2, b"2") + frame(9, b"b") + frame(1, b"3") + close(1000))
    frames = list(client.messages())
    assert [one for one in frames if one[0] in (1, 2)] == [(1, b"1"), (2, b"2"), (1, b"3")]
    assert [one for one in frames if one[0] == 10] == [(10, b"a"), (10, b"b")]
    assert frames[-1] == (8, struct.pack("!H", 1000)) and len(frames) == 6


def test_pings_between_fragments_get_pongs(client):
    client.send(frame(1, b"one ", final=False) + frame(9, b"a") + frame(0, b"two ", final=False) + frame(9, b"b")
                + frame(0, b"three"))
    frames = [client.frame() for _ in range(3)]
    assert sorted(frames) == [(1, b"one two three"), (10, b"a"), (10, b"b")]
    assert frames.index((10, b"a")) < frames.index((10, b"b"))


def test_long_ping_is_a_protocol_error(client, witness):
    """RFC 6455 requires 1002; libwebsockets 4.1 sends no close frame."""
    client.send(frame(9, b"x" * 126) + frame(1, b"next"))
    assert client.close_code() in (None, 1002)
    assert heard(witness) == []


# Invalid frames

FORBIDDEN = {
    **{f"reserved bit {bit:#x} of opcode {opcode}": frame(opcode | bit, b"x")
       for bit in (0x40, 0x20, 0x10) for opcode in (1, 2, 8, 9, 10)},
    **{f"opcode {opcode}": frame(opcode, b"x") for opcode in (3, 7, 11, 15)},
    "reserved bit of a continuation": frame(1, b"a", final=False) + frame(0x40, b"b"),
    "fragment of a ping": frame(9, b"x", final=False),
    "fragment of a close": frame(8, struct.pack("!H", 1000), final=False),
    "continuation of nothing": frame(0, b"x"),
    "continuation of what has ended": frame(1, b"a", final=False) + frame(0, b"b") + frame(0, b"c"),
    "message within another": frame(1, b"a", final=False) + frame(1, b"b"),
}


@pytest.mark.parametrize("frames", FORBIDDEN.values(), ids=FORBIDDEN)
def test_protocol_violation_is_closed_with_1002(client, frames):
    client.send(frames + frame(1, b"next"))
    assert client.close_code() == 1002


@pytest.mark.parametrize("frames, code", [
    (frame(1, b"\xff") + frame(9, b"x"), 1007), (frame(8, b"x") + frame(9, b"xx"), 1002),
    (frame(1, b"\xff") + close(46036), 1007),
], ids=["ping", "ping behind a close", "close"])
def test_data_after_a_violation_does_not_change_the_close_code(client, frames, code):
    """lws buffers data behind a ping until the pong is sent, and parses it while its close frame is pending."""
    client.send(frame(9, b"a" * 125) + frames)
    assert client.close_code() == code


@pytest.mark.parametrize("frames, code", [(frame(3), 1002), (frame(1, b"\xff"), 1007)], ids=["opcode", "UTF-8"])
def test_messages_before_a_violation_are_broadcast(client, witness, frames, code):
    client.send(frame(1, b"before") + frames + frame(1, b"after"))
    assert client.frame() == (1, b"before")
    assert client.close_code() == code
    assert heard(witness) == [(1, b"before")]


@pytest.mark.parametrize("data", [
    b"\x81\xfe\x00\x05\0\0\0\0hello", b"\x81\xff\0\0\0\0\0\0\0\x05\0\0\0\0hello",
], ids=["length in 16 bits", "length in 64 bits"])
def test_needlessly_long_lengths_are_accepted(client, data):
    """RFC 6455, section 5.2, forbids them. libwebsockets accepts them, which is harmless."""
    client.send(data + frame(1, b"next"))
    assert client.frame() == (1, b"hello")
    assert client.frame() == (1, b"next")


def test_frame_without_a_mask_is_accepted_before_libwebsockets_5(client):
    """RFC 6455, section 5.1, forbids it. It is harmless."""
    client.send(b"\x81\x05hello" + frame(1, b"next"))
    if libwebsockets.version() >= (5,):
        assert client.close_code() == 1002
        return
    assert client.frame() == (1, b"hello")
    assert client.frame() == (1, b"next")


# Closing

@pytest.mark.parametrize("payload, code", [
    (b"", 1005),
    *((struct.pack("!H", code), code) for code in (1003, 1007, 1011)),
    *((struct.pack("!H", code), 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)),
    (b"x", 1002),
    (struct.pack("!H", 1000) + b"\xff", 1007),
    (struct.pack("!H", 1000) + b"a\xc3", 1007),
])
def test_close_frame_is_answered_with_its_code(client, payload, code):
    client.send(frame(8, payload))
    assert client.close_code() == code


@pytest.mark.parametrize("code", [1012, 1013, 1014])
def test_registered_close_codes_are_answered(client, code):
    """libwebsockets 4.1 does not know these codes."""
    client.send(close(code))
    assert client.close_code() in (code, 1002)


@pytest.mark.parametrize("frames", [
    close(1000, b"bye") + frame(1, b"too late") + close(1001),
    frame(1, b"half", final=False) + close(1000, b"bye"),
], ids=["message and close behind it", "within a message"])
def test_data_after_a_close_frame_is_ignored(client, witness, frames):
    client.send(frames)
    assert list(client.messages()) == [(8, struct.pack("!H", 1000) + b"bye")]
    assert heard(witness) == []


def test_long_message_before_a_close_frame_is_delivered(server, witness):
    """The other members receive all of it. The sender does not read: it gets what the kernel takes, then the reply to
    its close. If libwebsockets still had a part of a frame to write, it ends the connection instead."""
    message = b"z" * (1 << 20)
    with RawClient(server.port, receive_buffer=4096) as client:
        client.open()
        client.send(frame(2, message) + close(1000))
        assert next(witness.messages()) == (2, message)
        fragments = list(iter(client.fragment, None))
        if fragments[-1] == (True, 8, struct.pack("!H", 1000)):
            fragments.pop()
        assert all(opcode in (0, 2) for _, opcode, _ in fragments)
        assert message.startswith(b"".join(payload for _, _, payload in fragments))


def test_pong_waits_for_a_client_that_reads_late(server, witness):
    message = b"z" * (1 << 20)
    with RawClient(server.port, receive_buffer=4096) as client:
        client.open()
        client.send(frame(2, message) + frame(9, b"ping"))
        assert next(witness.messages()) == (2, message)
        messages = client.messages()
        assert sorted([next(messages), next(messages)]) == [(2, message), (10, b"ping")]


@pytest.mark.parametrize("count, statuses", [(1, [101]), (5, [101]), (50, [101, 431])])
def test_unknown_extensions_are_declined(server, count, statuses):
    """libwebsockets 4.1 would end the connection if the header has 255 bytes."""
    answer = request(server.port, handshake(
        Sec_WebSocket_Extensions=", ".join(f"x-{number}; a=1; b" for number in range(count))))
    assert answer and answer[0] in statuses and "sec-websocket-extensions" not in answer[1]

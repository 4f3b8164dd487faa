"""The operator's view: metrics and health."""

import re
import time

import pytest
from websockets.sync.client import connect

from support.confab_process import confab, free_port
from support.metrics import get, metrics
from support.raw_client import RawClient, frame, handshake


@pytest.fixture
def admin():
    return f"127.0.0.1:{free_port()}"


def test_metrics_count_what_happens(admin):
    with confab("--admin", admin, "--loops", 2, "--max-message-size", 1000) as server:
        before = metrics(admin)
        assert before.pop(("confab_history_kept",)) == 1
        assert all(value == 0 for name, value in before.items() if name != ("confab_loop_lag_seconds",))
        with connect(server.ws) as one, connect(server.ws) as other, connect(server.ws + "tea") as third:
            for number in range(3):
                one.send(f"message {number}")
                assert [client.recv(10) for client in [one, other]] == [f"message {number}"] * 2
            third.send("x" * 1001)
            with pytest.raises(Exception):
                third.recv(10)
            deadline = time.monotonic() + 10
            while (now := metrics(admin))["confab_deliveries_total",] < 6:
                assert time.monotonic() < deadline, now
            assert now["confab_messages_received_total",] == 3
            assert now["confab_received_bytes_total",] == 3 * len("message 0")
            assert now["confab_deliveries_total",] == 6
            assert now["confab_sent_bytes_total",] == 6 * (2 + len("message 0"))
            assert now["confab_connections_accepted_total",] == 3
            assert now["confab_rejections_total", "messageTooBig"] == 1
            assert now["confab_rooms",] == 1
            # No rich client is connected.
            assert now["confab_history_bytes",] == 0
            assert now["confab_backlog_bytes",] == 0
            assert now["confab_delivery_latency_seconds_count",] == 6
            assert now["confab_delivery_latency_seconds_bucket", "+Inf"] == 6
            assert 0 < now["confab_delivery_latency_seconds_sum",] < 6 * 5
            buckets = [value for (name, *_), value in now.items() if name == "confab_delivery_latency_seconds_bucket"]
            assert buckets == sorted(buckets) and len(buckets) == 13
            assert now["confab_connections",] == 2
            assert 0 <= now["confab_loop_lag_seconds",] < 5


def test_metrics_count_history(admin):
    with confab("--admin", admin) as server, connect(server.ws, subprotocols=["chat.confab.v1"]), connect(server.ws) as client:
        client.send("a message")
        assert client.recv(10) == "a message"
        assert metrics(admin)["confab_history_bytes",] >= len("a message")


def test_metrics_count_lagging_readers_until_closed(admin):
    with confab("--admin", admin, "--max-backlog", "8MiB", "--send-buffer", "4KiB", "--loops", 2) as server:
        def await_metric(*name, least):
            deadline = time.monotonic() + 20
            while (now := metrics(admin))[name] < least:
                assert time.monotonic() < deadline, now
            return now

        with RawClient(server.port, receive_buffer=4096) as slow, connect(server.ws) as fast:
            slow.open()
            for size in [6 << 20, 9 << 20]:
                sent = 0
                while sent < size:
                    fast.send(b"x" * (1 << 20))
                    assert len(fast.recv(10)) == 1 << 20
                    sent += 1 << 20
                if size < 8 << 20:
                    now = await_metric("confab_backlog_bytes", least=5 << 20)
                    assert now["confab_backlog_bytes",] < 7 << 20 and now["confab_rejections_total", "tooFarBehind"] == 0
            await_metric("confab_rejections_total", "tooFarBehind", least=1)
            deadline = time.monotonic() + 10
            while (now := metrics(admin))["confab_backlog_bytes",] > 0:
                assert time.monotonic() < deadline, now


def test_rejected_connections_count_as_accepted(admin):
    with confab("--admin", admin, "--max-connections", 1) as server, RawClient(server.port) as client:
        client.open()
        with RawClient(server.port) as other:
            assert other.answer()[0] == 503
        assert metrics(admin)["confab_connections_accepted_total",] == 2


def test_health_while_serving_and_stopping(admin):
    with confab("--admin", admin, "--stop-timeout", 5) as server:
        assert get(admin, "/livez") == (200, "ok\n")
        assert get(admin, "/readyz") == (200, "ok\n")
        assert get(admin, "/other")[0] == 404
        # The admin listener does not accept WebSocket connections.
        with RawClient(int(admin.split(":")[1])) as client:
            client.send(handshake())
            assert client.answer()[0] == 404
        with RawClient(server.port) as client:
            client.send(handshake())
            assert client.answer()[0] == 101
            server.process.terminate()
            # The server waits for this client's close frame.
            assert client.frame()[0] == 8
            assert get(admin, "/livez") == (200, "ok\n")
            assert get(admin, "/readyz") == (503, "the server is stopping\n")
            client.send(frame(8, b"\x03\xe9"))
        assert server.end() == 0


def test_malformed_admin_address_is_an_error():
    with pytest.raises(AssertionError, match="admin"):
        with confab("--admin", "9090"):
            pass


def test_taken_admin_address_is_an_error(admin):
    with confab("--admin", admin), pytest.raises(AssertionError, match=re.escape(admin.split(":")[1])):
        with confab("--admin", admin):
            pass


@pytest.mark.parametrize("host, status", [
    ("localhost:9", 200), ("LOCALHOST", 200), ("127.0.0.1", 200), ("[::1]:9", 200), ("10.1.2.3:80", 200), ("metrics.example", 200),
    ("evil.example", 403), ("127.0.0.1.evil.example", 403), ("localhost.evil.example", 403), ("1.2.3", 403)])
def test_hosts_of_rebound_names_are_rejected(admin, host, status):
    with confab("--admin", admin, "--allow-host", "metrics.example"), RawClient(int(admin.rpartition(":")[2])) as client:
        client.send(f"GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert client.answer()[0] == status

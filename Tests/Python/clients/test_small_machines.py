"""Machines with little memory, few addresses, or one core."""

import pathlib
import re

import pytest
from websockets.sync.client import connect

from support.confab_process import confab


def chat(server):
    with connect(f"{server.ws}tea") as one, connect(f"{server.ws}tea") as other:
        for _ in range(100):
            one.send("hello")
            assert one.recv(10) == other.recv(10) == "hello"


def charged(server):
    """Returns the memory in bytes that the kernel must promise the server with vm.overcommit_memory=2."""
    text = pathlib.Path(f"/proc/{server.process.pid}/smaps").read_text()
    areas = re.findall(r"^Size:\s+(\d+) kB$.*?^VmFlags: (.*)$", text, re.M | re.S)
    assert areas
    return sum(int(size) << 10 for size, flags in areas if "ac" in flags.split())


@pytest.mark.memory
@pytest.mark.parametrize("limit", [600 << 20, 2 << 30])
def test_server_runs_with_few_addresses(limit):
    with confab(under=["prlimit", f"--as={limit}"]) as server:
        chat(server)
        assert "the process may have few addresses (ulimit -v)" in server.said()


def test_server_with_enough_addresses_logs_no_warning(server):
    chat(server)
    assert server.said() == ""


def test_server_runs_on_one_core():
    with confab(under=["taskset", "-c", "0"]) as server:
        chat(server)


@pytest.mark.memory
def test_reserved_addresses_need_no_promise_of_memory(server):
    chat(server)
    assert charged(server) < 256 << 20

"""A TCP proxy in front of several servers. Like a load balancer, it checks their health."""

import asyncio
import contextlib


class Backend:
    def __init__(self, port, admin):
        self.port, self.admin = port, admin
        self.is_ready = asyncio.Event()

    async def look(self):
        """Polls whether the server is ready."""
        while True:
            ready = False
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.admin)
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                ready = (await reader.readline()).startswith(b"HTTP/1.1 200")
                writer.close()
            if ready:
                self.is_ready.set()
            else:
                self.is_ready.clear()
            await asyncio.sleep(0.02)


class Proxy:
    """Passes each connection on to the next ready server."""

    def __init__(self, backends):
        self.backends = [Backend(*each) for each in backends]
        self.turn = 0
        self.tasks = set()

    async def __aenter__(self):
        self.lookouts = [asyncio.create_task(each.look()) for each in self.backends]
        self.server = await asyncio.start_server(self.accepted, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        self.ws = f"ws://127.0.0.1:{self.port}/"
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for task in [*self.lookouts, *self.tasks]:
            task.cancel()
        await asyncio.gather(*self.lookouts, *self.tasks, return_exceptions=True)

    async def accepted(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        try:
            there, back = await self.connect()
            await asyncio.gather(self.copy(reader, back), self.copy(there, writer))
        finally:
            self.tasks.discard(task)

    async def connect(self):
        while True:
            self.turn += 1
            backend = self.backends[self.turn % len(self.backends)]
            if backend.is_ready.is_set():
                with contextlib.suppress(OSError):
                    return await asyncio.open_connection("127.0.0.1", backend.port)
                backend.is_ready.clear()
            else:
                await asyncio.sleep(0.01)

    async def copy(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()

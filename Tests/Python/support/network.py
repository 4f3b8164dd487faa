"""A network between a client and a server that can be cut or go silent."""

import asyncio
import threading


class Network:
    """A proxy on its own port for a server. Threads may call its methods."""

    def __init__(self, server):
        self.target = server.port
        self.loop = asyncio.new_event_loop()
        self.pairs = set()
        self.is_there = True
        self.up, self.down = asyncio.Event(), asyncio.Event()
        self.up.set(), self.down.set()
        started = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(started,), daemon=True)
        self.thread.start()
        started.wait()
        self.http = f"http://127.0.0.1:{self.port}/"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.call(self.listener.close)
        self.cut()
        self.call(self.loop.stop)
        self.thread.join()

    def cut(self):
        """Resets all connections and rejects new ones."""
        self.call(self.set, False, True, True)

    def silence(self):
        """Loses all data on its way. The senders do not notice."""
        self.call(self.set, True, False, False)

    def deafen(self):
        """Loses the data from the server."""
        self.call(self.set, True, True, False)

    def restore(self):
        self.call(self.set, True, True, True)

    def call(self, function, *arguments):
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (function(*arguments), done.set()))
        done.wait(5)

    def set(self, is_there, up, down):
        self.is_there = is_there
        for flow, flows in ((self.up, up), (self.down, down)):
            flow.set() if flows else flow.clear()
        if not is_there:
            for writer in list(self.pairs):
                writer.transport.abort()

    def run(self, started):
        asyncio.set_event_loop(self.loop)
        self.listener = self.loop.run_until_complete(asyncio.start_server(self.accept, "127.0.0.1", 0))
        self.port = self.listener.sockets[0].getsockname()[1]
        started.set()
        self.loop.run_forever()

    async def accept(self, reader, writer):
        if not self.is_there:
            return writer.transport.abort()
        try:
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            return writer.transport.abort()
        await asyncio.gather(
            self.pass_on(reader, other_writer, self.up), self.pass_on(other_reader, writer, self.down))

    async def pass_on(self, reader, writer, flow):
        self.pairs.add(writer)
        try:
            while data := await reader.read(65536):
                await flow.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            self.pairs.discard(writer)
            writer.close()

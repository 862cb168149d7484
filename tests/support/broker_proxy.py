"""A TCP proxy before a broker, whose connections can be cut and counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class BrokerProxy:
    """Between a client and the broker that `url` names."""

    def __init__(self, url: str, host: str) -> None:
        self._broker = urlsplit(url)
        self._host = host
        self._port = 0
        self._connections: set[asyncio.StreamWriter] = set()
        self.bytes_to_client = 0

    @property
    def url(self) -> str:
        """The broker's URL through the proxy."""
        return self._broker._replace(netloc=f"{self._host}:{self._port}").geturl()

    def cut(self) -> None:
        """Reset every connection, as a failing network does."""
        for writer in self._connections:
            writer.transport.abort()

    async def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Carry one connection until either side ends it."""
        broker, to_broker = await asyncio.open_connection(self._broker.hostname, self._broker.port)
        ends = {to_client, to_broker}
        self._connections |= ends
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._pour(client, to_broker))
                ways.create_task(self._pour(broker, to_client, count=True))
        except* OSError:
            pass
        finally:
            self._connections -= ends
            for end in ends:
                end.transport.abort()

    async def _pour(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, count: bool = False
    ) -> None:
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
            self.bytes_to_client += len(data) * count
        sink.close()

    async def listen(self) -> asyncio.Server:
        """Take connections on a free port."""
        server = await asyncio.start_server(self.serve, self._host, 0)
        self._port = server.sockets[0].getsockname()[1]
        return server


@asynccontextmanager
async def broker_proxy(url: str, *, listen_on: str = "127.0.0.1") -> AsyncIterator[BrokerProxy]:
    """A proxy for the length of the context."""
    proxy = BrokerProxy(url, listen_on)
    server = await proxy.listen()
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
        await asyncio.sleep(0)

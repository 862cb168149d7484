"""A TCP proxy that cuts its connections, or hangs, at a chosen point of the conversation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class CuttingProxy:
    """Between a client and the server that `dsn` names."""

    def __init__(self, dsn: str) -> None:
        self._server = urlsplit(dsn)
        self._port = 0
        self.bytes_left: int | None = None
        """How many more bytes reach the server before everything is cut; None cuts nothing."""
        self.cut_instead_of: bytes | None = None
        """The answer that the client is cut off from, though the server has given it."""
        self.cuts = 0
        self.hangs = False
        """Whether nothing is passed on any more, while the connections stay."""
        self.hangs_at: bytes | None = None
        """What the client says that nothing is passed on from."""
        self._answering: list[asyncio.Task[None]] = []

    @property
    def dsn(self) -> str:
        """The DSN of the same database through the proxy."""
        user = self._server.netloc.rpartition("@")[0]
        return self._server._replace(netloc=f"{user}@127.0.0.1:{self._port}").geturl()

    @asynccontextmanager
    async def run(self) -> AsyncIterator["CuttingProxy"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await asyncio.gather(*self._answering, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(self._server.hostname, self._server.port)
        answers = asyncio.create_task(self._answer(server, to_client))
        self._answering.append(answers)
        while data := await client.read(65_536):
            if self.hangs_at is not None and self.hangs_at in data:
                self.hangs = True
            if self.hangs:
                continue
            kept = data if self.bytes_left is None else data[: self.bytes_left]
            to_server.write(kept)
            if self.bytes_left is not None:
                self.bytes_left -= len(kept)
            if len(kept) < len(data):
                await to_server.drain()
                self.cuts += 1
                self.bytes_left = None
                to_client.transport.abort()
                break
        to_server.close()
        await asyncio.gather(answers, return_exceptions=True)

    async def _answer(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        while data := await server.read(65_536):
            if self.cut_instead_of is not None and self.cut_instead_of in data:
                self.cuts += 1
                self.cut_instead_of = None
                to_client.transport.abort()
                return
            to_client.write(data)
        to_client.close()

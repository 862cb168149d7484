"""A TCP proxy that does to a connection what networks do, while it runs.

It runs in a thread of its own, so that a test which blocks can change it: every attribute takes
effect on the bytes that pass next. Nothing is lost that is not cut: what is held back is passed
on later, each side is slowed down as the other is, and an end that is orderly on one side is so on
the other, as is a reset.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.01

Watch = Callable[[bytes], None]
"""Shown everything that the server of one connection sends; raises `Cut` to have it cut there."""


class Cut(Exception):  # noqa: N818 - what is done, not a failure
    """This connection is to end, both ways."""


class TcpProxy:
    """Between clients and one server; as a context manager it listens."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        watch: Callable[[], Watch] | None = None,
        listen_on: str = LOOPBACK,
    ) -> None:
        """`watch` is called once a connection; `listen_on` is one of this machine's addresses."""
        self.port = 0
        """Where it listens."""
        self.hangs = False
        """Pass nothing on, in either direction, while the connections stay."""
        self.hangs_at: bytes | None = None
        """What a client says that nothing is passed on from."""
        self.refuses = False
        """Reset new connections."""
        self.delay_seconds = 0.0
        """Hold everything back for so long, in either direction."""
        self.bytes_per_second: float | None = None
        """Pass no more than this, in either direction of each connection."""
        self.slice_bytes: int | None = None
        """Pass on so many bytes at once."""
        self.bytes_left: int | None = None
        """How many more bytes reach the server before that connection is cut; `None`: no limit."""
        self.cut_instead_of: tuple[bytes, ...] = ()
        """Answers that the client is cut off from, although the server has given them."""
        self.cuts_left: int | None = None
        """How many more answers are cut off; `None`: all."""
        self.cuts = 0
        """Connections cut at a chosen point."""
        self.connections = 0
        """Connections taken so far."""
        self.bytes_to_client = 0
        self._server = host, port
        self._listen_on = listen_on
        self._watch = watch
        self._ends: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    @classmethod
    def before(
        cls,
        url: str,
        *,
        watch: Callable[[], Watch] | None = None,
        listen_on: str = LOOPBACK,
    ) -> Self:
        """A proxy before the server that a URL or a DSN names."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        return cls(parts.hostname, parts.port, watch=watch, listen_on=listen_on)

    def through(self, url: str) -> str:
        """A URL or DSN of the server, by way of the proxy."""
        parts = urlsplit(url)
        before, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{before}{at}{self._listen_on}:{self.port}").geturl()

    def cut(self) -> bool:
        """Reset every connection, as a failing network does; whether there was any.

        Nothing passes any more after it returns.
        """
        return asyncio.run_coroutine_threadsafe(self._cut_all(), self._loop).result()

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen())

    async def _listen(self) -> None:
        serving: set[asyncio.Task[None]] = set()

        async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            serving.add(task)
            task.add_done_callback(serving.discard)
            with suppress(asyncio.CancelledError):  # which only the end of the proxy does
                await self._serve(client, to_client)

        server = await asyncio.start_server(serve, self._listen_on, 0)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._stop.wait()
        server.close()
        await self._cut_all()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _cut_all(self) -> bool:
        any_open = any(not end.is_closing() for end in self._ends)
        for end in self._ends:
            _reset(end)
        await asyncio.sleep(0)  # in which the sockets are closed
        return any_open

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refuses:
            _reset(to_client)
            return
        ends = [to_client]
        self._ends.add(to_client)
        try:
            server, to_server = await asyncio.open_connection(*self._server)
            ends.append(to_server)
            self._ends.add(to_server)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._requests(client, to_server))
                ways.create_task(self._answers(server, to_client))
        except* OSError:
            for end in ends:
                _reset(end)
        except* Cut:
            _reset(to_client)  # but what the server was sent before still reaches it
        finally:
            for end in ends:
                end.close()
            await asyncio.gather(*(end.wait_closed() for end in ends), return_exceptions=True)
            self._ends.difference_update(ends)

    async def _requests(
        self, client: asyncio.StreamReader, to_server: asyncio.StreamWriter
    ) -> None:
        while data := await client.read(65_536):
            if self.hangs_at is not None and self.hangs_at in data:
                self.hangs = True
            kept = data if self.bytes_left is None else data[: self.bytes_left]
            await self._pass(kept, to_server)
            if self.bytes_left is None:
                continue
            self.bytes_left -= len(kept)
            if len(kept) < len(data):
                self.cuts += 1
                self.bytes_left = None
                raise Cut
        to_server.write_eof()

    async def _answers(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        watch = self._watch() if self._watch else None
        while data := await server.read(65_536):
            if self._is_to_be_cut(data):
                self.cuts += 1
                raise Cut
            if watch is not None:
                watch(data)
            await self._pass(data, to_client)
            self.bytes_to_client += len(data)
        to_client.write_eof()

    def _is_to_be_cut(self, answer: bytes) -> bool:
        if self.cuts_left == 0 or not any(part in answer for part in self.cut_instead_of):
            return False
        if self.cuts_left is not None:
            self.cuts_left -= 1
        return True

    async def _pass(self, data: bytes, sink: asyncio.StreamWriter) -> None:
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        position = 0
        while position < len(data):
            piece = data[position : position + self._piece_bytes(data)]
            position += len(piece)
            while self.hangs and not sink.is_closing():  # noqa: ASYNC110 - a test's thread changes it
                await asyncio.sleep(POLL_SECONDS)
            sink.write(piece)
            with suppress(ConnectionError):
                await sink.drain()
            if self.bytes_per_second is not None:
                await asyncio.sleep(len(piece) / self.bytes_per_second)

    def _piece_bytes(self, data: bytes) -> int:
        if self.slice_bytes is not None:
            return self.slice_bytes
        if self.bytes_per_second is not None:
            # Small enough that a change of the limit is soon felt.
            return max(1, int(self.bytes_per_second / 10))
        return max(1, len(data))


def _reset(end: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN, whatever is underway (SO_LINGER of 0 s, socket(7))."""
    with suppress(OSError):  # closed already
        end.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
    end.transport.abort()

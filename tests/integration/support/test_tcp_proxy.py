import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.support.polling import until
from tests.support.tcp_proxy import TcpProxy


@dataclass
class Server:
    """Sends back what it gets, or not, and notes it and how each connection ended."""

    answers: bool = True
    port: int = 0
    connections: int = 0
    received: bytearray = field(default_factory=bytearray)
    ends: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while data := await reader.read(65_536):
                self.received += data
                if self.answers:
                    writer.write(data)
            self.ends.append("in good order")
        except ConnectionResetError:
            self.ends.append("reset")
        finally:
            writer.close()


@asynccontextmanager
async def serving(*, answers: bool = True) -> AsyncIterator[Server]:
    server = Server(answers)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await until(lambda: len(server.ends) == server.connections, "every connection has ended")


@asynccontextmanager
async def connected(
    proxy: TcpProxy,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def test_a_url_leads_through_with_its_password_and_path() -> None:
    with TcpProxy("127.0.0.1", 1, listen_on="127.0.0.2") as proxy:
        assert (
            proxy.through("ws://me:word@host:9/mqtt") == f"ws://me:word@127.0.0.2:{proxy.port}/mqtt"
        )
        assert proxy.through("mqtt://host:9") == f"mqtt://127.0.0.2:{proxy.port}"


async def test_all_bytes_pass_in_order_while_their_pace_changes() -> None:
    sent = bytes(n % 251 for n in range(300_000))
    async with serving() as server:
        with TcpProxy("127.0.0.1", server.port) as proxy:
            async with connected(proxy) as (reader, writer):
                writer.write(sent)
                back = await reader.readexactly(50_000)
                proxy.slice_bytes = 1
                back += await reader.readexactly(1_000)
                proxy.slice_bytes, proxy.bytes_per_second = None, 1_000_000.0
                back += await reader.readexactly(100_000)
                proxy.bytes_per_second, proxy.delay_seconds = None, 0.01
                back += await reader.readexactly(len(sent) - len(back))
                assert back == sent
                # They are counted when they have been passed on.
                await until(lambda: proxy.bytes_to_client == len(sent), "all is counted")


async def test_a_limited_rate_takes_its_time() -> None:
    async with serving() as server:
        with TcpProxy("127.0.0.1", server.port) as proxy:
            proxy.bytes_per_second = 10_000.0
            async with connected(proxy) as (reader, writer):
                began_seconds = time.monotonic()
                writer.write(bytes(3_000))
                await reader.readexactly(3_000)
    assert time.monotonic() - began_seconds >= 0.2


async def test_what_hangs_passes_later() -> None:
    async with serving() as server:
        with TcpProxy("127.0.0.1", server.port) as proxy:
            async with connected(proxy) as (reader, writer):
                proxy.hangs = True
                writer.write(b"later")
                await asyncio.sleep(0.1)  # in which a proxy that passes it on would do so
                assert server.received == b""
                proxy.hangs = False
                assert await reader.readexactly(5) == b"later"


async def test_an_orderly_end_is_passed_on_after_all_that_was_sent() -> None:
    sent = bytes(5_000_000)
    async with serving() as server:
        with TcpProxy("127.0.0.1", server.port) as proxy:
            async with connected(proxy) as (reader, writer):
                writer.write(sent)
                writer.write_eof()
                assert await reader.read() == sent
        assert server.ends == ["in good order"]


async def test_a_cut_resets_both_sides_at_once() -> None:
    async with serving() as server:
        with TcpProxy("127.0.0.1", server.port) as proxy:
            async with connected(proxy) as (reader, writer):
                writer.write(b"x")
                await reader.readexactly(1)
                assert proxy.cut()
                assert not proxy.cut(), "nothing is left to cut"
                writer.write(b"too late")
                with pytest.raises(ConnectionResetError):
                    await reader.read()
                await until(lambda: server.ends == ["reset"], "the server has noticed")
                assert server.received == b"x"
            async with connected(proxy) as (reader, writer):
                writer.write(b"x")
                assert await reader.readexactly(1) == b"x"
            assert proxy.connections == 2


async def test_a_connection_that_is_refused_is_reset() -> None:
    async with serving() as server:
        with TcpProxy("127.0.0.1", server.port) as proxy:
            proxy.refuses = True
            # It may be there before connecting has come to an end.
            with pytest.raises(ConnectionResetError):
                async with connected(proxy) as (reader, _):
                    await reader.read()


async def test_as_many_bytes_as_said_reach_the_server_before_the_cut() -> None:
    async with serving(answers=False) as server:
        with TcpProxy("127.0.0.1", server.port) as proxy:
            proxy.bytes_left = 400_000
            async with connected(proxy) as (reader, writer):
                writer.write(bytes(1_000_000))
                with pytest.raises(ConnectionResetError):
                    await reader.read()
                await until(lambda: server.ends, "the server has noticed")
        assert len(server.received) == 400_000
        assert proxy.cuts == 1


async def test_an_answer_is_cut_off_as_often_as_said() -> None:
    async with serving() as server:
        with TcpProxy("127.0.0.1", server.port) as proxy:
            proxy.cut_instead_of, proxy.cuts_left = (b"COMMIT",), 1
            async with connected(proxy) as (reader, writer):
                writer.write(b"COMMIT")
                with pytest.raises(ConnectionResetError):
                    await reader.read()
            assert server.received == b"COMMIT"
            async with connected(proxy) as (reader, writer):
                writer.write(b"COMMIT")
                assert await reader.readexactly(6) == b"COMMIT"
        assert proxy.cuts == 1

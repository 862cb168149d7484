"""What Ctrl-C and SIGTERM do to a run: the first ends it with its account, a second one at once."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible(
    stop: asyncio.Event, *, begun: Callable[[], bool] = lambda: True
) -> Iterator[None]:
    """Set `stop` at a signal; cancel the present task where it is set, or nothing has begun."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        if stop.is_set() or not begun():
            task.cancel()
        stop.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, interrupt)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

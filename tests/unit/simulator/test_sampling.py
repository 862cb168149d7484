"""Samples say what is known of a run's parts, and nothing of what is not."""

import asyncio
import os

import msgspec
import pytest

from penstock_simulator.sampling import Sampler, Samples, Sources
from tests.support.polling import until


def exposition(stored: int, *, cpu_seconds: float = 0.0) -> str:
    return (
        f'penstock_readings_stored_total{{tenant="a"}} {stored}\n'
        "penstock_queue_rows 7\n"
        "penstock_spool_rows 9\n"
        "penstock_spool_bytes 4096\n"
        f"process_cpu_seconds_total {cpu_seconds}\n"
        "process_resident_memory_bytes 1000\n"
    )


def sampled(*expositions: str | None) -> Samples:
    """Samples of a daemon that answered so, at the beginning and then every two seconds."""
    answers, times = iter(expositions), iter(range(0, 100, 2))
    clock = {"at": 0.0}

    def answer() -> str | None:
        clock["at"] = float(next(times))
        return next(answers)

    sampler = Sampler(Sources(exposition=answer), now=lambda: clock["at"])
    sampler.begin()
    for _ in expositions[1:]:
        sampler.take()
    return sampler.samples


def test_rates_are_means_since_the_sample_before() -> None:
    samples = sampled(exposition(100), exposition(300, cpu_seconds=1), exposition(310))
    assert samples.at_seconds == [2, 4]
    assert samples.stored_per_second == [100, 5]
    assert samples.daemon_cpu[0] == 0.5
    assert samples.daemon_memory_bytes == [1_000, 1_000]
    assert (samples.queue_rows, samples.spool_rows, samples.spool_bytes) == (
        [7, 7],
        [9, 9],
        [4_096, 4_096],
    )


def test_a_daemon_that_began_anew_has_no_negative_rate() -> None:
    assert sampled(exposition(1_000), exposition(40)).stored_per_second == [20]


def test_a_second_without_an_answer_is_a_gap() -> None:
    samples = sampled(exposition(100), None, exposition(300), exposition(400))
    assert samples.stored_per_second == [None, None, 50]
    assert samples.queue_rows == [None, 7, 7]
    assert samples.daemon_memory_bytes == [None, 1_000, 1_000]


def test_what_cannot_be_known_has_no_column() -> None:
    sampler = Sampler(Sources(broker=os.getpid))
    sampler.begin()
    sampler.take()
    known = msgspec.to_builtins(sampler.samples)
    assert set(known) == {
        *("at_seconds", "simulator_cpu", "simulator_memory_bytes"),
        *("broker_cpu", "broker_memory_bytes"),
    }


@pytest.mark.parametrize("present", [True, False])
def test_a_server_that_is_down_is_a_gap(present: bool) -> None:
    sampler = Sampler(Sources(database=lambda: os.getpid() if present else None))
    sampler.begin()
    sampler.take()
    assert (sampler.samples.database_memory_bytes[0] is not None) == present


def test_a_run_that_never_began_has_not_lasted() -> None:
    clock = iter((1_000.0, 1_004.0))
    sampler = Sampler(Sources(), now=lambda: next(clock))
    assert sampler.elapsed_seconds == 0
    sampler.begin()
    assert sampler.elapsed_seconds == 4


async def test_it_samples_from_when_the_run_started() -> None:
    started, asked = asyncio.Event(), []

    def answer() -> str:
        asked.append(started.is_set())
        return exposition(1)

    sampler = Sampler(Sources(exposition=answer))
    sampling = asyncio.create_task(sampler.run(started))
    try:
        await asyncio.sleep(0)
        started.set()
        await until(lambda: bool(sampler.samples.at_seconds), "it has sampled")
    finally:
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
    assert set(sampler.samples.queue_rows) == {7}
    assert all(asked)


def test_columns_are_of_one_length() -> None:
    samples = sampled(exposition(1), None, exposition(3))
    lengths = {len(column) for column in msgspec.to_builtins(samples).values()}
    assert lengths == {2}

import asyncio
import json
import os
import pty
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from penstock.cli.exits import ExitCode
from penstock.errors import PoisonError, Reason
from penstock.model import DeadLetter
from penstock.observability.metrics import StorageCounts
from penstock.pipeline.bisect import dead_letter_of_row
from penstock.settings.secret import Secret
from penstock.settings.tree import Storage
from penstock.storage.store import TimescaleStore
from tests.support.command_line import HANG_SECONDS, PENSTOCK, Finished, penstock, write_config
from tests.support.publishing import rows_of
from tests.support.readings import NOW_US, Reading, batch

RECEIVED = datetime.fromtimestamp(NOW_US / 1e6, UTC)
TOPIC = "devices/acme/pump/telemetry"
READINGS = (
    "select tenant, device, metric, (extract(epoch from ts) * 1000000)::bigint, value"
    " from telemetry order by 1, 2, 3, 4"
)


def letter(payload: str | bytes = "not json", **fields: object) -> DeadLetter:
    common = DeadLetter(
        received_us=NOW_US,
        topic=TOPIC,
        payload=payload.encode() if isinstance(payload, str) else payload,
        reason=Reason.MALFORMED,
        detail="not an envelope",
        tenant="acme",
        device="pump",
    )
    return msgspec.structs.replace(common, **fields)


def store(dsn: str, letters: Sequence[DeadLetter]) -> None:
    """Commit dead letters as the daemon does; their ids count from 1."""

    async def commit() -> None:
        store = TimescaleStore(Storage(dsn=Secret(dsn)), StorageCounts())
        await store.store(batch(dead_letters=letters))
        await store.close()

    asyncio.run(commit())


@pytest.fixture
def config(tmp_path: Path, schema: str) -> Path:
    return write_config(tmp_path, storage={"dsn": schema})


def dead_letters(config: Path, command: str, *arguments: str) -> Finished:
    return penstock("dead-letters", command, "--config", config, *arguments)


def statuses(dsn: str) -> list[str]:
    return [row[0] for row in rows_of(dsn, "select status from dead_letters order by 1")]


def listed(config: Path, *arguments: str) -> list[int]:
    done = dead_letters(config, "list", "--json", *arguments)
    assert done.status == ExitCode.OK
    return [json.loads(line)["id"] for line in done.lines]


class TestList:
    def test_the_newest_come_first_and_no_more_than_asked_for(
        self, config: Path, schema: str
    ) -> None:
        store(schema, [letter() for _ in range(120)])
        assert listed(config) == list(range(120, 70, -1))
        assert listed(config, "--limit", "3") == [120, 119, 118]
        assert listed(config, "--limit", "1000") == list(range(120, 0, -1))

    def test_the_filters_choose_together(self, config: Path, schema: str) -> None:
        day_us = 86_400_000_000
        store(
            schema,
            [
                letter(),
                letter(tenant="other"),
                letter(reason=Reason.BAD_VALUE),
                letter(received_us=NOW_US - 10 * day_us),
            ],
        )
        rows_of(schema, "update dead_letters set status = 'replayed' where dead_letter_id = 3")
        before = RECEIVED.isoformat()
        assert listed(config, "--tenant", "acme") == [4, 3, 1]
        assert listed(config, "--reason", "malformed") == [4, 2, 1]
        assert listed(config, "--status", "new") == [4, 2, 1]
        assert listed(config, "--since", before) == [3, 2, 1]
        assert listed(config, "--older-than", before) == [4]
        assert listed(config, "--tenant", "acme", "--status", "new", "--since", before) == [1]

    def test_the_table_has_a_line_for_each_and_json_has_all_of_it(
        self, config: Path, schema: str
    ) -> None:
        store(schema, [letter(b"\xff", correlation_id="job-7")])
        heading, row = dead_letters(config, "list").lines
        assert heading.split() == ["id", "received", "status", "reason", "origin", "detail"]
        assert row.split()[2:] == ["new", "malformed", TOPIC, "not", "an", "envelope"]
        (line,) = dead_letters(config, "list", "--json").lines
        fields = json.loads(line)
        assert fields["payload_hex"] == "ff"
        assert fields["correlation_id"] == "job-7"

    def test_none_is_no_error(self, config: Path) -> None:
        assert dead_letters(config, "list") == (ExitCode.OK, "", "there are none\n")

    def test_a_bad_time_is_told_in_words(self, config: Path) -> None:
        done = dead_letters(config, "list", "--since", "yesterday")
        assert done.status == ExitCode.CONFIG
        assert "'yesterday' is not a time such as" in done.errors

    def test_a_reader_that_has_enough_ends_it_quietly(self, config: Path, schema: str) -> None:
        store(schema, [letter("x" * 10_000) for _ in range(60)])
        with subprocess.Popen(
            [*PENSTOCK, "dead-letters", "list", "--config", str(config), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            errors = process.stderr.read()
        assert (process.returncode, errors) == (ExitCode.OK, b"")

    def test_a_database_without_the_schema_says_to_migrate(
        self, tmp_path: Path, database: str
    ) -> None:
        done = dead_letters(write_config(tmp_path, storage={"dsn": database}), "list")
        assert done.status == ExitCode.FATAL
        assert "penstock migrate" in done.errors
        assert "Traceback" not in done.errors


class TestShow:
    def test_it_shows_all_with_the_payload_as_text(self, config: Path, schema: str) -> None:
        store(schema, [letter('{"a": 1')])
        done = dead_letters(config, "show", "1")
        assert done.status == ExitCode.OK
        assert "reason       malformed" in done.lines
        assert done.lines[-1] == '{"a": 1'

    def test_what_is_not_there_is_told_in_words(self, config: Path) -> None:
        done = dead_letters(config, "show", "7")
        assert done == (ExitCode.CONFIG, "", "penstock: there is no dead letter 7\n")


class TestReplay:
    def test_what_can_be_read_now_is_stored_and_the_rest_stays_with_todays_reason(
        self, config: Path, schema: str
    ) -> None:
        good = letter('{"metrics": {"t": 1.5, "u": true}}')
        store(schema, [good, letter(), letter('{"metrics": {"t": 2}}', topic="no/route")])
        done = dead_letters(config, "replay", "--all")
        assert done.status == ExitCode.REFUSED
        assert [line.partition(": ")[:1] for line in done.lines[:2]] == [
            ("2 refused",),
            ("3 refused",),
        ]
        assert "malformed" in done.lines[0]
        assert "unknown_route" in done.lines[1]
        assert done.lines[2] == (
            "replayed 1 dead letter: 2 readings stored, 0 were there already; 2 refused again"
        )
        # Without a timestamp of its own, a reading has the time of receipt, not that of the replay.
        assert rows_of(schema, READINGS) == [
            ("acme", "pump", "t", NOW_US, 1.5),
            ("acme", "pump", "u", NOW_US, 1.0),
        ]
        assert statuses(schema) == ["new", "new", "replayed"]
        reasons = rows_of(schema, "select reason from dead_letters where status = 'new'")
        assert reasons == [("malformed",), ("malformed",)]

    def test_doing_it_twice_stores_nothing_twice(self, config: Path, schema: str) -> None:
        store(schema, [letter('{"metrics": {"t": 1.5}}')])
        assert dead_letters(config, "replay", "1").status == ExitCode.OK
        again = dead_letters(config, "replay", "1")
        assert again.status == ExitCode.OK
        assert "0 readings stored, 1 were there already" in again.output
        assert len(rows_of(schema, READINGS)) == 1
        assert dead_letters(config, "replay", "--all").output.startswith("replayed 0 dead letters")

    def test_a_timestamp_is_judged_by_the_time_of_receipt(self, config: Path, schema: str) -> None:
        """The bounds are 90 days back: of the day of receipt, whatever the day of the replay."""
        year_us = 366 * 86_400_000_000
        received_us = NOW_US - 3 * year_us
        payload = json.dumps({"ts": (received_us - 1_000_000) // 1_000_000, "metrics": {"t": 1}})
        store(schema, [letter(payload, received_us=received_us), letter(payload)])
        done = dead_letters(config, "replay", "--all")
        assert done.status == ExitCode.REFUSED
        assert "2 refused: timestamp_out_of_range" in done.output
        assert len(rows_of(schema, READINGS)) == 1

    def test_a_reading_that_the_database_had_refused_goes_to_its_own_series(
        self, config: Path, schema: str
    ) -> None:
        day_us = 86_400_000_000
        refused = batch(
            Reading(value=7.25, quality=5, ts_us=NOW_US - 4000 * day_us),
            Reading(metric="mode", value="auto"),
        )
        error = PoisonError("22003", "out of range")
        store(schema, [dead_letter_of_row(refused, row, error) for row in range(2)])
        assert rows_of(schema, "select topic from dead_letters") == [(None,), (None,)]
        done = dead_letters(config, "replay", "--reason", "storage_error")
        assert done.status == ExitCode.OK
        assert rows_of(schema, "select value, quality, ts from telemetry") == [
            (7.25, 5, datetime.fromtimestamp((NOW_US - 4000 * day_us) / 1e6, UTC))
        ]
        assert rows_of(schema, "select device, metric, value from telemetry_text") == [
            ("pump-1", "mode", "auto")
        ]

    def test_one_that_the_database_still_refuses_does_not_hold_up_the_others(
        self, config: Path, schema: str
    ) -> None:
        rows_of(schema, "alter table readings add check (value < 1000)")
        payloads = [f'{{"metrics": {{"t": {value}}}}}' for value in (1, 2000, 3)]
        store(
            schema,
            [letter(payload, received_us=NOW_US + n) for n, payload in enumerate(payloads)],
        )
        done = dead_letters(config, "replay", "--all")
        assert done.status == ExitCode.REFUSED
        assert "2 refused: storage_error: " in done.output
        assert [row[4] for row in rows_of(schema, READINGS)] == [1.0, 3.0]
        assert statuses(schema) == ["new", "replayed", "replayed"]
        assert len(rows_of(schema, "select from dead_letters")) == 3

    def test_a_payload_that_was_cut_is_never_taken_for_the_whole(
        self, config: Path, schema: str
    ) -> None:
        detail = "9 bytes, of which 4 are allowed; only the first 2 of 9 bytes are kept"
        store(schema, [letter("21", topic=TOPIC, detail=detail)])
        done = dead_letters(config, "replay", "1")
        assert done.status == ExitCode.REFUSED
        assert "only the beginning of the payload was kept" in done.output

    def test_a_device_that_is_still_not_registered_stays_out(
        self, tmp_path: Path, schema: str
    ) -> None:
        config = write_config(tmp_path, storage={"dsn": schema}, registry={"auto_register": False})
        payload = '{"metrics": {"t": 1}}'
        store(schema, [letter(payload), letter(payload, topic="devices/acme/fan/telemetry")])
        rows_of(schema, "select register_device('acme', 'fan')")
        done = dead_letters(config, "replay", "--all")
        assert done.status == ExitCode.REFUSED
        assert "1 refused: unregistered_device" in done.output
        assert [row[1] for row in rows_of(schema, READINGS)] == ["fan"]

    def test_more_than_fit_one_batch_are_all_replayed(self, config: Path, schema: str) -> None:
        store(
            schema,
            [letter('{"metrics": {"t": 1}}', received_us=NOW_US + number) for number in range(120)],
        )
        done = dead_letters(config, "replay", "--tenant", "acme")
        assert done.output.startswith("replayed 120 dead letters: 120 readings stored")
        assert set(statuses(schema)) == {"replayed"}

    def test_the_newest_reading_becomes_the_latest(self, config: Path, schema: str) -> None:
        store(schema, [letter('{"metrics": {"t": 1.5}}')])
        dead_letters(config, "replay", "1")
        assert rows_of(schema, "select value from latest") == [(1.5,)]

    @pytest.mark.parametrize("arguments", [[], ["1", "--all"], ["--all", "--tenant", "acme"]])
    def test_what_to_replay_has_to_be_said_in_one_way(
        self, config: Path, arguments: list[str]
    ) -> None:
        done = dead_letters(config, "replay", *arguments)
        assert done.status == ExitCode.CONFIG
        assert "choose what to replay" in done.errors

    def test_an_id_that_does_not_exist_is_told_in_words(self, config: Path) -> None:
        done = dead_letters(config, "replay", "7")
        assert done == (ExitCode.CONFIG, "", "penstock: there is no dead letter 7\n")

    def test_an_id_that_no_database_can_hold_is_told_in_words(self, config: Path) -> None:
        done = dead_letters(config, "replay", str(2**63))
        assert done.status == ExitCode.CONFIG
        assert "out of int64 range" in done.errors
        assert "Traceback" not in done.errors


class TestPurge:
    def test_it_deletes_what_was_chosen_and_says_how_many(self, config: Path, schema: str) -> None:
        store(schema, [letter(), letter(tenant="other"), letter(tenant="other")])
        done = dead_letters(config, "purge", "--tenant", "other", "--yes")
        assert done == (ExitCode.OK, "deleted 2 dead letters\n", "")
        assert listed(config) == [1]
        assert dead_letters(config, "purge", "--all", "--yes").output == "deleted 1 dead letter\n"

    @pytest.mark.parametrize("form", [[], ["--json"]])
    def test_a_list_that_is_not_all_says_so_beside_it(
        self, config: Path, schema: str, form: list[str]
    ) -> None:
        store(schema, [letter(), letter(), letter(tenant="other")])
        done = dead_letters(config, "list", "--tenant", "acme", "--limit", "1", *form)
        assert done.errors == "1 of 2 shown, the newest; --limit shows more\n"
        assert dead_letters(config, "list", "--limit", "3", *form).errors == ""

    def test_nothing_is_deleted_without_a_yes_when_there_is_nobody_to_ask(
        self, config: Path, schema: str
    ) -> None:
        store(schema, [letter()])
        done = dead_letters(config, "purge", "--all")
        assert done.status == ExitCode.CONFIG
        assert "--yes" in done.errors
        assert listed(config) == [1]

    @pytest.mark.parametrize("arguments", [[], ["--all", "--tenant", "acme"]])
    def test_what_to_delete_has_to_be_said(self, config: Path, arguments: list[str]) -> None:
        done = dead_letters(config, "purge", "--yes", *arguments)
        assert done.status == ExitCode.CONFIG
        assert "choose what to delete" in done.errors

    @pytest.mark.parametrize(("answer", "left"), [(b"n\n", 1), (b"y\n", 0)])
    def test_on_a_terminal_it_asks_and_says_what_it_would_delete(
        self, config: Path, schema: str, answer: bytes, left: int
    ) -> None:
        store(schema, [letter()])
        keyboard, terminal = pty.openpty()
        try:
            with subprocess.Popen(
                [*PENSTOCK, "dead-letters", "purge", "-c", str(config), "--tenant", "acme"],
                stdin=terminal,
                stdout=subprocess.PIPE,
            ) as process:
                os.write(keyboard, answer)
                output, _ = process.communicate(timeout=HANG_SECONDS)
        finally:
            os.close(keyboard)
            os.close(terminal)
        assert process.returncode == ExitCode.OK
        assert b"Delete all dead letters of tenant 'acme' for good? These are 1 now." in output
        assert len(listed(config)) == left

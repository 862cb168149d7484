"""What the doctor makes of the spool's place and the daemon's rate."""

import pytest
from msgspec.structs import replace

from penstock.cli.doctor.daemon import DaemonFacts
from penstock.cli.doctor.disks import Disk
from penstock.cli.doctor.finding import Finding, Level
from penstock.cli.doctor.spool import SpoolFacts, judge_spool
from penstock.settings.tree import Spool

GB = 10**9
QUOTA = Spool(path="/spool/spool.db", max_bytes=24 * GB)
DISK = Disk(path="/spool", free_bytes=100 * GB, total_bytes=200 * GB, device=1, kind="ext4")
WELL = SpoolFacts(
    folder="/spool",
    visible=True,
    exists=True,
    writable=True,
    user="penstock",
    owner="penstock",
    file_owner="penstock",
    disk=DISK,
)
DAEMON = DaemonFacts(
    url="http://127.0.0.1:9464",
    healthy=True,
    reasons=(),
    received_per_second=20_000.0,
    spool_state="usable",
    spool_rows=0,
    spool_bytes=0,
    max_files=None,
    open_files=None,
)


def findings(
    facts: SpoolFacts | None, daemon: DaemonFacts | None, settings: Spool = QUOTA
) -> dict[str, Finding]:
    return {finding.check: finding for finding in judge_spool(settings, facts, daemon)}


def on_disk(**changes: object) -> SpoolFacts:
    return replace(WELL, disk=replace(DISK, **changes))


def daemon(**changes: object) -> DaemonFacts:
    return replace(DAEMON, **changes)


def test_of_a_spool_that_is_well_all_is_ok() -> None:
    found = findings(WELL, DAEMON)
    assert {finding.level for finding in found.values()} == {Level.OK}
    assert len(found) == 4


def test_without_a_spool_it_says_what_an_outage_does() -> None:
    found = findings(None, None)
    assert [(check, f.level) for check, f in found.items()] == [("spool.path", Level.NOTE)]


@pytest.mark.parametrize(
    ("facts", "daemon", "check", "level", "said"),
    [
        (WELL, daemon(spool_state="full"), "state", "problem", "is full"),
        (WELL, daemon(spool_state="unusable"), "state", "problem", "is unusable"),
        (WELL, daemon(spool_state="off"), "state", "warning", "runs without a spool"),
        (replace(WELL, writable=False), DAEMON, "place", "ok", "by the daemon at http:"),
        (
            replace(WELL, writable=False),
            daemon(spool_state="off"),
            "place",
            "warning",
            "may not write",
        ),
        (replace(WELL, visible=False, disk=None), None, "place", "note", "may not look"),
        (replace(WELL, exists=False, disk=None), None, "place", "problem", "does not exist"),
        (replace(WELL, is_file=False), None, "place", "problem", "is a folder"),
        (replace(WELL, file_owner="root"), None, "place", "problem", "belongs to root"),
        (replace(WELL, file_owner=None), None, "place", "ok", "no daemon has it"),
        (replace(WELL, writable=False), None, "place", "warning", "may not write"),
        (replace(WELL, writable=False, holder=7), None, "place", "ok", "by process 7"),
        (on_disk(kind="tmpfs"), None, "disk", "problem", "which is memory"),
        (on_disk(kind="nfs4"), None, "disk", "warning", "over a network"),
        # The quota, 5 % for the file, 16 MiB of reserve and 8 MiB of margin.
        (on_disk(free_bytes=25_225_165_824), None, "room", "ok", "quota is 24 GB"),
        (on_disk(free_bytes=24_225_165_824), None, "room", "warning", "1 GB too little"),
        (on_disk(free_bytes=25_165_824), None, "room", "warning", "quota is 24 GB"),
        (on_disk(free_bytes=25_165_823), None, "room", "problem", "takes no batches"),
        (
            replace(on_disk(free_bytes=8_388_608), reserve_bytes=16_777_216),
            None,
            "room",
            "warning",
            "quota is 24 GB",
        ),
        # 24 GB at 20,000 readings/s of 75 bytes are 16,000 s.
        (WELL, DAEMON, "time", "ok", "267 minutes (24 GB)"),
        (WELL, daemon(spool_bytes=12 * GB, spool_rows=GB // 2), "time", "ok", "417 minutes"),
        (WELL, daemon(spool_bytes=12 * GB, spool_rows=GB // 32), "time", "warning", "26 minutes"),
        (on_disk(free_bytes=21 * GB // 10), DAEMON, "time", "warning", "22 minutes (2 GB)"),
        (WELL, daemon(received_per_second=0.0), "time", "note", "10,000 readings/s"),
        (WELL, None, "time", "note", "rate is not known; at 10,000 readings/s it would last"),
        (replace(WELL, file_bytes=23 * GB), None, "time", "note", "22.2 minutes"),
    ],
)
def test_each_fact_is_judged(
    facts: SpoolFacts, daemon: DaemonFacts | None, check: str, level: str, said: str
) -> None:
    finding = findings(facts, daemon)[f"spool.{check}"]
    assert (finding.level, said in finding.text) == (level, True), finding
    assert finding.advice or level in {"ok", "note"}


def test_what_is_in_the_spool_already_needs_no_disk() -> None:
    facts = on_disk(free_bytes=13 * GB)
    assert findings(facts, None)["spool.room"].level is Level.WARNING
    assert findings(facts, daemon(spool_bytes=12 * GB))["spool.room"].level is Level.OK


@pytest.mark.parametrize(("device", "level"), [(1, Level.NOTE), (2, Level.OK)])
def test_a_disk_that_it_shares_with_the_database_is_named(device: int, level: Level) -> None:
    database_disk = replace(DISK, path="/data", device=device)
    found = {f.check: f for f in judge_spool(QUOTA, WELL, None, database_disk)}
    assert found["spool.disk"].level is level

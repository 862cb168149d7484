"""What the doctor makes of the daemon's answer, and how it prints what it has found."""

import json

import pytest
from msgspec.structs import replace

from penstock.cli.doctor.amounts import counted, in_bytes, in_time, rate_of
from penstock.cli.doctor.daemon import DaemonFacts, judge_daemon
from penstock.cli.doctor.finding import Level, has_problem, note, ok, problem, warning
from penstock.cli.doctor.report import print_json, text_lines
from penstock.settings.tree import Http, Settings

WELL = DaemonFacts(
    url="http://127.0.0.1:9464",
    healthy=True,
    reasons=(),
    received_per_second=1234.0,
    spool_state="off",
    spool_rows=0,
    spool_bytes=0,
    max_files=65_536,
    open_files=25,
)
NEEDED = 104
"""For the defaults: four connections to the database and a hundred others."""
ALL = [
    ok("broker.a", "Good."),
    warning("broker.b", "Slow.", "Hurry."),
    note("spool.c", "So\x1b[2J."),
    problem("spool.d", "Lost.", "Find."),
]


@pytest.mark.parametrize(
    ("facts", "own_limit", "check", "level", "said"),
    [
        (WELL, 1, "health", "ok", "1,234 readings/s"),
        (replace(WELL, healthy=False, reasons=("a", "b")), 1, "health", "warning", "a; b"),
        (None, 1024, "health", "note", "127.0.0.1:9464"),
        (WELL, 1, "files", "ok", "65,536 files and has 25 open"),
        (replace(WELL, max_files=NEEDED), 1, "files", "ok", "needs up to 104"),
        (replace(WELL, max_files=NEEDED - 1), 9999, "files", "problem", "103"),
        (replace(WELL, max_files=None), 1024, "files", "ok", "From this shell"),
        (None, NEEDED, "files", "ok", "From this shell"),
        (None, NEEDED - 1, "files", "problem", "From this shell"),
    ],
)
def test_each_fact_is_judged(
    facts: DaemonFacts | None, own_limit: int, check: str, level: str, said: str
) -> None:
    found = {f.check: f for f in judge_daemon(Settings(), facts, own_limit)}
    finding = found[f"daemon.{check}"]
    assert (finding.level, said in finding.text) == (level, True), finding


def test_a_daemon_that_serves_nothing_is_not_said_to_be_away() -> None:
    settings = Settings(http=Http(listen=None))
    assert "null" in next(judge_daemon(settings, None, 1024)).text


def test_people_read_part_by_part_what_is_so_and_what_to_do() -> None:
    assert list(text_lines(ALL)) == [
        "broker",
        "  ok       Good.",
        "  warning  Slow.",
        "           → Hurry.",
        "spool",
        "  note     So\\x1b[2J.",
        "  problem  Lost.",
        "           → Find.",
        "1 problem, 1 warning, 1 note, 1 ok",
    ]


def test_programs_read_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(ALL)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == {
        "level": "warning",
        "check": "broker.b",
        "text": "Slow.",
        "advice": "Hurry.",
    }
    assert len(lines) == len(ALL)


def test_only_a_problem_is_a_problem() -> None:
    assert has_problem(ALL)
    assert not has_problem(f for f in ALL if f.level is not Level.PROBLEM)


def test_amounts_are_in_the_units_of_people() -> None:
    assert [in_bytes(n) for n in (0, 999, 1000, 10_737_418_240, 123_456_789_000_000)] == [
        "0 bytes",
        "999 bytes",
        "1 kB",
        "10.7 GB",
        "123 TB",
    ]
    assert [in_time(s) for s in (0.5, 119, 120, 7200, 604_800, 86_400 * 1000)] == [
        "0.5 s",
        "119 s",
        "2 minutes",
        "2 hours",
        "7 days",
        "1,000 days",
    ]
    assert [counted(n, "thing") for n in (0, 1, 1000)] == ["0 things", "1 thing", "1,000 things"]
    assert rate_of(20, 0.05) == "400 messages/s at a commit of 50 ms"

"""What a run says of its setting can be shown to anybody."""

from penstock_simulator.report.machine import command_line, this_machine, versions


def test_a_command_line_has_no_password() -> None:
    line = command_line(
        "penstock-sim",
        ["run", "--url", "mqtt://me:sec%2Fret@broker", "--dsn", "postgresql://a:b@c/d?password=e"],
    )
    assert line == (
        "penstock-sim run --url mqtt://me:***@broker --dsn 'postgresql://a:***@c/d?password=***'"
    )


def test_the_machine_is_told() -> None:
    machine = this_machine()
    assert machine.cores >= 1
    assert machine.memory_bytes > 100_000_000
    assert {"python", "penstock"} <= set(versions())

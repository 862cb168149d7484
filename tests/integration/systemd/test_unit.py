"""The unit is what systemd understands, is shut in tightly, and agrees with the daemon."""

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from penstock.cli.exits import ExitCode
from penstock.settings.tree import Settings

UNIT = Path(__file__).parents[3] / "systemd" / "penstock.service"
INSTALLED = "/opt/penstock/.venv/bin/penstock"
MOST_EXPOSURE_TENTHS = 20

systemd_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not installed (package systemd)",
)


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit as it would be with the daemon installed under another prefix."""
    program = tmp_path / "penstock"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = UNIT.read_text()
    assert text.count(INSTALLED) == 1
    copy = tmp_path / "penstock.service"
    copy.write_text(text.replace(INSTALLED, str(program)))
    return copy


@systemd_analyze
def test_systemd_finds_nothing_to_say_about_the_unit(unit: Path) -> None:
    found = analyze("verify", str(unit))
    assert found.stdout == ""
    assert found.returncode == 0


@systemd_analyze
def test_systemd_would_find_a_mistake(unit: Path) -> None:
    unit.write_text(unit.read_text() + "\n[Service]\nProtectEverything=yes\n")
    assert "ProtectEverything" in analyze("verify", str(unit)).stdout


@systemd_analyze
def test_the_service_is_exposed_to_little(unit: Path) -> None:
    threshold = f"--threshold={MOST_EXPOSURE_TENTHS}"
    found = analyze("security", "--offline=true", threshold, str(unit))
    assert found.returncode == 0, found.stdout


@pytest.fixture
def service() -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys are case-sensitive
    parser.read_string(UNIT.read_text())
    return parser["Service"]


def test_systemd_waits_for_longer_than_the_daemon_takes_to_stop(
    service: configparser.SectionProxy,
) -> None:
    assert float(service["TimeoutStopSec"]) > Settings().shutdown_timeout_seconds


def test_an_unusable_configuration_is_not_tried_again(service: configparser.SectionProxy) -> None:
    assert service["Restart"] == "always"
    assert int(service["RestartPreventExitStatus"]) == ExitCode.CONFIG


def test_the_daemon_tells_systemd_how_far_it_is(service: configparser.SectionProxy) -> None:
    assert service["Type"] == "notify"
    assert float(service["WatchdogSec"]) >= 10
    assert service["ExecStart"] == f"{INSTALLED} run --config /etc/penstock/penstock.yaml"

from pathlib import Path

import pytest
import yaml

from penstock.cli.exits import ExitCode
from penstock.sandbox.ports import LOOPBACK, free_port
from penstock.settings.dump import redacted
from penstock.settings.tree import Settings
from tests.support.command_line import penstock, write_config

REFERENCE = Path(__file__).parents[3] / "config" / "penstock.yaml"


def test_the_reference_is_valid() -> None:
    assert penstock("check-config", REFERENCE) == (ExitCode.OK, f"{REFERENCE}: valid\n", "")


def test_all_faults_are_told_at_once_those_of_the_templates_included(tmp_path: Path) -> None:
    config = write_config(
        tmp_path,
        mqtt={"receive_maximum": 0},
        storge={},
        routes=[{"topic": "a//{x}"}, {"topic": "{tenant}/{device}/#/b"}],
    )
    done = penstock("check-config", config)
    assert done.status == ExitCode.CONFIG
    assert done.output == ""
    for path in ("mqtt.receive_maximum", "storge", "routes[0].topic", "routes[1].topic"):
        assert f"\n  {path}: " in done.errors
    assert "{x}" in done.errors
    assert "Traceback" not in done.errors


def test_a_template_is_not_judged_where_the_route_cannot_be_read(tmp_path: Path) -> None:
    config = write_config(tmp_path, routes=[{"format": "flat"}, {"topic": 7, "tenant": []}])
    done = penstock("check-config", config)
    assert done.status == ExitCode.CONFIG
    assert "routes[0].topic: is required" in done.errors
    assert "Traceback" not in done.errors


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe", b"- 1\n"])
def test_a_file_that_is_no_configuration_is_told_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "penstock.yaml"
    path.write_bytes(content)
    done = penstock("check-config", path)
    assert done.status == ExitCode.CONFIG
    assert str(path) in done.errors
    assert "Traceback" not in done.errors


def test_a_missing_file_is_told_in_words(tmp_path: Path) -> None:
    done = penstock("check-config", tmp_path / "none.yaml")
    assert done.status == ExitCode.CONFIG
    assert "none.yaml" in done.errors


def test_show_prints_every_setting_in_force_and_no_secret(tmp_path: Path) -> None:
    config = write_config(
        tmp_path,
        mqtt={"username": "penstock", "password": {"env": "BROKER_PASSWORD"}},
        storage={"dsn": "postgresql://penstock:hunter2@db/penstock"},
    )
    done = penstock(
        "check-config",
        config,
        "--show",
        environ={"BROKER_PASSWORD": "swordfish", "PENSTOCK_STORAGE__BATCH_ROWS": "77"},
    )
    assert done.status == ExitCode.OK
    assert "swordfish" not in done.output + done.errors
    assert "hunter2" not in done.output + done.errors
    shown = yaml.safe_load(done.output)
    assert shown["mqtt"]["password"] == "***"
    assert shown["storage"] == redacted(Settings())["storage"] | {
        "batch_rows": 77,
        "dsn": "postgresql://***@db/penstock",
    }
    assert list(shown) == list(redacted(Settings()))


def test_what_is_doubtful_is_a_warning_and_no_fault(tmp_path: Path) -> None:
    done = penstock(
        "check-config", write_config(tmp_path, mqtt={"protocol": "3.1.1", "receive_maximum": 9})
    )
    assert done.status == ExitCode.OK
    assert done.errors.startswith("warning: mqtt.receive_maximum: ")


@pytest.mark.parametrize("command", ["check-config", "doctor"])
def test_a_password_that_everybody_can_read_is_a_warning(tmp_path: Path, command: str) -> None:
    config = write_config(
        tmp_path,
        mqtt={"url": f"mqtt://{LOOPBACK}:{free_port()}"},
        storage={"dsn": f"postgresql://penstock:hunter2@{LOOPBACK}:{free_port()}/penstock"},
    )
    config.chmod(0o644)
    done = penstock(command, config)
    assert done.errors.startswith(f"warning: {config} holds a password and everybody can read it")
    assert "hunter2" not in done.output + done.errors


@pytest.mark.parametrize("form", [[], ["--config"], ["-c"]])
@pytest.mark.parametrize("command", [["check-config"], ["explain", "-t", "a", "-p", "1"], ["run"]])
def test_a_configuration_may_be_named_with_and_without_its_option(
    tmp_path: Path, command: list[str], form: list[str]
) -> None:
    config = write_config(tmp_path, mqtt={"qos": 7})
    done = penstock(*command, *form, config)
    assert done.status == ExitCode.CONFIG
    assert done.errors.startswith(f"penstock: {config}: 1 error\n  mqtt.qos: ")


def test_two_configurations_are_one_too_many_and_none_is_too_few(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    done = penstock("check-config", config, "--config", config)
    assert done.status == ExitCode.CONFIG
    assert "Name one" in done.errors
    done = penstock("check-config")
    assert done.status == ExitCode.CONFIG
    assert "name the file" in done.errors

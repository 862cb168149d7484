"""The commands of README.md work as they are written, but for the addresses of the servers."""

import os
import re
import secrets
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from penstock import sandbox
from penstock.cli.exits import ExitCode
from penstock.sandbox.ports import LOOPBACK, free_port
from tests.support.command_line import HANG_SECONDS, PENSTOCK, penstock
from tests.support.daemon_process import wait_until

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
STEPS = README.partition("## Your own broker")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", STEPS, re.DOTALL)
INSTALL, DATABASE, CONFIG, RUN, SEND, DIAGNOSE, SECURE, LOGIN, SPOOL = (text for _, text in BLOCKS)


class Place:
    """Where the reader's servers are, and how the text says so."""

    def __init__(self, folder: Path, broker: sandbox.Broker, server_dsn: str, name: str) -> None:
        self.folder = folder
        self.server_dsn = server_dsn
        self.mosquitto = folder / "mosquitto"
        (self.mosquitto / "conf.d").mkdir(parents=True)
        self.http_port = free_port()
        server = urlsplit(server_dsn)
        self._said = {
            "127.0.0.1:1883": f"{LOOPBACK}:{broker.port}",
            "-p 1883 ": f"-p {broker.port} ",
            "127.0.0.1:5432/penstock": f"{server.hostname}:{server.port}/{name}",
            "127.0.0.1:9464": f"{LOOPBACK}:{self.http_port}",
            "sudo -u postgres psql": f"psql -v ON_ERROR_STOP=1 {server_dsn}",
            "penstock:choose-one": f"{name}:choose-one",
            "role penstock": f"role {name}",
            "database penstock owner penstock": f"database {name} owner {name}",
            "\\connect penstock": f"\\connect {name}",
            "/var/lib/penstock": str(folder),
            "/etc/mosquitto": str(self.mosquitto),
            "config/mosquitto": str(ROOT / "config" / "mosquitto"),
            "sudo systemctl restart mosquitto\n": "",
            "sudo chown mosquitto:": "chown $(id -u)",
            "sudo ": "",
        }

    def text(self, block: str) -> str:
        for ours, theirs in self._said.items():
            block = block.replace(ours, theirs)
        return block

    @property
    def environ(self) -> dict[str, str]:
        programs = Path(sys.executable).parent
        return {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PENSTOCK_HTTP__LISTEN": f"{LOOPBACK}:{self.http_port}",
        }

    def shell(self, block: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.text(block)],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def place(tmp_path: Path, scratch: Path, postgres_server: sandbox.Postgres) -> Iterator[Place]:
    name = f"penstock_{secrets.token_hex(6)}"
    with sandbox.Broker(scratch / name) as broker:
        yield Place(tmp_path, broker, postgres_server.dsn, name)
    sandbox.drop_database(postgres_server.dsn, name)
    subprocess.run(
        ["psql", "-qc", f'drop role if exists "{name}"', postgres_server.dsn], check=True
    )


def test_five_minutes_lead_to_a_stored_reading(place: Place) -> None:
    place.shell(DATABASE)
    (place.folder / "penstock.yaml").write_text(place.text(CONFIG))
    check, _, run = RUN.strip().partition("\n")
    assert place.shell(check) == "penstock.yaml: valid\n"

    assert run.split()[0] == "penstock"
    with running(place, run):
        publish, select = SEND.split("psql")
        place.shell(publish)
        wait_until(lambda: "boiler-1" in place.shell(f"psql{select}"), "the reading is there")
        rows = place.shell(f"psql{select}")
        assert re.search(r"acme +\| boiler-1 +\| temperature +\| .* \| +21\.5 \| +192", rows)
        assert re.search(r"acme +\| boiler-1 +\| running +\| .* \| +1 \| +192", rows)

        said = place.shell(DIAGNOSE)
        assert "temperature" in said
        assert '"service":"ok"' in said.replace(" ", "")


def test_a_broker_that_asks_for_a_password_lets_in_whom_the_text_names(place: Place) -> None:
    place.shell(DATABASE)
    place.shell(SECURE)
    configured = (place.mosquitto / "conf.d" / "users.conf").read_text().splitlines()
    lines = ["allow_anonymous false", *configured]
    config, run = place.text(CONFIG), RUN.strip().splitlines()[1]
    with sandbox.Broker(place.folder / "broker", lines=lines) as broker:
        config = re.sub(r"mqtt://\S+", broker.url, config)
        (place.folder / "penstock.yaml").write_text(
            config.replace("\nroutes:", f"\n{LOGIN}routes:") + place.text(SPOOL)
        )
        _, secret = re.findall(r"mosquitto_passwd -b \S+ (acme) (\S+)", SECURE)[0]
        with running(place, run):
            publish, select = SEND.split("psql")
            login = f"mosquitto_pub -p {broker.port} -u acme -P {secret}"
            publish = publish.replace("mosquitto_pub -h 127.0.0.1 -p 1883", login)
            place.shell(publish.replace("devices/acme", "devices/other"))
            place.shell(publish)
            wait_until(lambda: "boiler-1" in place.shell(f"psql{select}"), "the reading is there")
            assert "other" not in place.shell(f"psql{select}")
            assert (place.folder / "spool.db").exists()


def test_the_simulator_finds_every_reading_in_your_own_database(place: Place) -> None:
    load = README.partition("## Load it")[2].partition("```sh\n")[2]
    place.shell(DATABASE)
    (place.folder / "penstock.yaml").write_text(place.text(CONFIG))
    with running(place, RUN.strip().splitlines()[1]):
        assert "Every reading is accounted for." in place.shell(load.partition("```")[0])


@contextmanager
def running(place: Place, run: str) -> Iterator[None]:
    """The daemon as the text runs it, ready."""
    with (
        (place.folder / "penstock.log").open("w") as log,
        subprocess.Popen(
            [*PENSTOCK, *run.split()[1:]],
            cwd=place.folder,
            env=place.environ,
            stderr=log,
        ) as daemon,
    ):
        try:
            wait_until(lambda: ready(place) or daemon.poll() is not None, "the daemon is ready")
            assert daemon.poll() is None, (place.folder / "penstock.log").read_text()
            yield
        finally:
            daemon.send_signal(signal.SIGINT)
    assert daemon.returncode == ExitCode.OK


def ready(place: Place) -> bool:
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{place.http_port}/health/ready") as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_the_table_of_commands_has_all_of_them_and_no_other() -> None:
    table = README.partition("## Commands")[2].partition("\n## ")[0]
    told = set(
        re.findall(r"^\| `penstock ((?:(?:dead-letters|spool) )?[a-z-]+)", table, re.MULTILINE)
    )
    found = set(commands())
    groups = {command.split()[0] for command in found if " " in command}
    assert told == (found - groups) | {"--version"}


def commands(*group: str) -> Iterator[str]:
    """What `penstock --help` lists, and what each group of it does."""
    shown = penstock(*group, "--help").output.partition("Commands:")[2].partition("\n\n")[0]
    for name in re.findall(r"^  ([a-z-]+)  ", shown, re.MULTILINE):
        yield " ".join((*group, name))
        if name in {"dead-letters", "spool"}:
            yield from commands(name)


def test_the_table_of_exit_statuses_has_all_of_them() -> None:
    table = README.partition("| exit status")[2].partition("\n## ")[0]
    assert [int(code) for code in re.findall(r"^\| (\d) ", table, re.MULTILINE)] == list(ExitCode)


def test_every_link_leads_to_a_file() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []

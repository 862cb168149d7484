"""What no single setting can be wrong about: rules between settings.

What concerns routes is for `penstock.topics` to say, which compiles them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from penstock.settings.faults import Faults
from penstock.settings.listen import parse_listen
from penstock.settings.mqtt_url import parse_url
from penstock.settings.tree import Http, Mqtt, Settings, Spool, Storage, Tls

DSN_SCHEMES = ("postgresql://", "postgres://")


class Conflict(NamedTuple):
    """A broken rule: the setting to mend first, the others it is about, and what to do."""

    path: str
    problem: str
    others: tuple[str, ...] = ()


def check(settings: Settings, faults: Faults) -> None:
    """Add every broken rule to `faults`, but for those about a setting that is faulty already."""
    for conflict in _conflicts(settings):
        if not faults.concern((conflict.path, *conflict.others)):
            faults.add(conflict.path, conflict.problem)


def notices(settings: Settings) -> list[str]:
    """What is allowed and probably not meant."""
    found = []
    if (
        settings.mqtt.protocol == "3.1.1"
        and settings.mqtt.receive_maximum != Mqtt().receive_maximum
    ):
        found.append("mqtt.receive_maximum: MQTT 3.1.1 has none; the broker sets the window")
    return found


def _conflicts(settings: Settings) -> Iterator[Conflict]:
    yield from _mqtt_conflicts(settings.mqtt)
    yield from _storage_conflicts(settings.storage)
    yield from _spool_conflicts(settings.spool, settings.storage)
    yield from _http_conflicts(settings.http)


def _mqtt_conflicts(mqtt: Mqtt) -> Iterator[Conflict]:
    uses_tls = True  # a URL that cannot be read does not say that it is without
    try:
        uses_tls = parse_url(mqtt.url).tls
    except ValueError as error:
        yield Conflict("mqtt.url", str(error))
    yield from _tls_conflicts(mqtt.tls, used=uses_tls)
    if mqtt.protocol == "3.1.1" and mqtt.password is not None and mqtt.username is None:
        # MQTT 3.1.1 §3.1.2.9: without a user name there is no password.
        yield Conflict(
            "mqtt.username", "is required with a password in MQTT 3.1.1", ("mqtt.password",)
        )
    yield from _ordered("mqtt.reconnect", mqtt.reconnect_min_seconds, mqtt.reconnect_max_seconds)


def _tls_conflicts(tls: Tls, *, used: bool) -> Iterator[Conflict]:
    for name in ("ca_file", "cert_file", "key_file"):
        path, file = f"mqtt.tls.{name}", getattr(tls, name)
        if file is None:
            continue
        if not used:
            yield Conflict(path, "is set, but mqtt.url is not mqtts:// or wss://", ("mqtt.url",))
        elif not Path(file).is_file():
            yield Conflict(path, f"there is no file {file}")
    if tls.cert_file is not None and tls.key_file is None:
        yield Conflict("mqtt.tls.key_file", "is required with mqtt.tls.cert_file")
    if tls.key_file is not None and tls.cert_file is None:
        yield Conflict("mqtt.tls.cert_file", "is required with mqtt.tls.key_file")


def _storage_conflicts(storage: Storage) -> Iterator[Conflict]:
    fault = _dsn_fault(storage.dsn.reveal())
    if fault is not None:
        yield Conflict("storage.dsn", fault)
    yield from _ordered("storage.retry", storage.retry_min_seconds, storage.retry_max_seconds)
    for unit in ("rows", "bytes"):
        batch, queue = getattr(storage, f"batch_{unit}"), getattr(storage, f"queue_{unit}")
        if queue < batch:
            yield Conflict(
                f"storage.queue_{unit}",
                f"the queue must hold at least one batch: {queue} < storage.batch_{unit} {batch}",
                (f"storage.batch_{unit}",),
            )


def _spool_conflicts(spool: Spool, storage: Storage) -> Iterator[Conflict]:
    if spool.path is not None and not Path(spool.path).is_absolute():
        yield Conflict(
            "spool.path",
            "expected an absolute path: started elsewhere, the daemon would miss what waits in it",
        )
    if spool.path is not None and spool.max_bytes < storage.batch_bytes:
        yield Conflict(
            "spool.max_bytes",
            f"the spool must hold at least one batch: {spool.max_bytes} < storage.batch_bytes"
            f" {storage.batch_bytes}",
            ("storage.batch_bytes",),
        )


def _dsn_fault(dsn: str) -> str | None:
    """What is wrong with a DSN; quotes nothing of it, because any part may be of the password."""
    if not dsn.startswith(DSN_SCHEMES):
        return "expected postgresql://user@host:port/database"
    try:
        url = urlsplit(dsn)
    except ValueError:
        return "its host is none: an IPv6 address stands in brackets"
    hosts = url.netloc.rpartition("@")[2].split(",")
    ports = [host.rpartition("]")[2].partition(":")[2] for host in hosts]
    if "#" in dsn or not all(port.isdecimal() for port in ports if port):
        return "a port is no number: write / ? # in a password as %2F %3F %23"
    return None


def _http_conflicts(http: Http) -> Iterator[Conflict]:
    if http.listen is not None:
        try:
            parse_listen(http.listen)
        except ValueError as error:
            yield Conflict("http.listen", str(error))


def _ordered(path: str, least: float, most: float) -> Iterator[Conflict]:
    if least > most:
        yield Conflict(
            f"{path}_min_seconds",
            f"{least} is more than {path}_max_seconds {most}",
            (f"{path}_max_seconds",),
        )

"""Asks the running daemon how it is, at `http.listen`."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from penstock.cli.doctor.daemon import DaemonFacts
from penstock.settings.listen import parse_listen

_TIMEOUT_SECONDS = 3.0
_MAX_FILES = "process_max_fds"
_OPEN_FILES = "process_open_fds"


def daemon_facts(listen: str | None) -> DaemonFacts | None:
    """What the daemon says of itself, within some seconds; `None` when none answers."""
    if listen is None:
        return None
    base = _base_url(listen)
    try:
        health, stats = (
            json.loads(_get(f"{base}/health")),
            json.loads(_get(f"{base}/api/v1/queue/stats")),
        )
        metrics = _samples(_get(f"{base}/metrics"))
        return _facts(base, health, stats, metrics)
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None  # another program listens there, or none


def _facts(
    base: str, health: dict[str, Any], stats: dict[str, Any], metrics: dict[str, float]
) -> DaemonFacts:
    return DaemonFacts(
        url=base,
        healthy=health["status"] == "healthy",
        reasons=tuple(health["reasons"]),
        received_per_second=float(stats["rates_per_second"]["received"]),
        spool_state=stats["spool"]["state"],
        spool_rows=stats["spool"]["rows"],
        spool_bytes=stats["spool"]["bytes"],
        max_files=int(metrics[_MAX_FILES]) if _MAX_FILES in metrics else None,
        open_files=int(metrics[_OPEN_FILES]) if _OPEN_FILES in metrics else None,
    )


def _base_url(listen: str) -> str:
    address = parse_listen(listen)
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"http://{host}:{address.port}"


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - ours
            body: bytes = answer.read()
    except urllib.error.HTTPError as error:  # a daemon that is not well answers 503
        with error:
            body = error.read()
    return body.decode()


def _samples(exposition: str) -> dict[str, float]:
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if not sample.labels
    }

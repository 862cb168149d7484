"""Asks a daemon over HTTP. Blocks, for no longer than a few seconds."""

import urllib.request
from http.client import HTTPException

_ANSWER_SECONDS = 5.0


def fetched(url: str) -> str | None:
    """The body that a GET is answered with, or nothing when the answer is not 200.

    `url` has to be one of HTTP, which is up to the caller.
    """
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as answer:  # noqa: S310 - as above
            body: bytes = answer.read()
    except (OSError, HTTPException):
        return None
    return body.decode(errors="replace")

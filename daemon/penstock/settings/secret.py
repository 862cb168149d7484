"""A string that does not show itself."""

import re

# Greedy, because a password may hold an unescaped "@"; the host never does.
_URL_CREDENTIALS = re.compile(r"://[^/\s\"'<>]*@")


class Secret:
    """Wraps a secret so that logs, tracebacks and dumps show `***`; `reveal()` gives the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one call that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


def redact_urls(text: str) -> str:
    """`text` with the user name and password of every URL in it shown as `***`."""
    return _URL_CREDENTIALS.sub("://***@", text)

"""The one rule for names of tenants, devices and metrics.

A name is 1 to 128 printable characters without `+`, `#` and `/`, which mean something in topics.
It is compared as it stands: no case folding, no Unicode normalisation, no trimming.
"""

MAX_CHARACTERS = 128

_FORBIDDEN = frozenset("+#/")
_REPLACEMENT = "\ufffd"
_SHOWN_CHARACTERS = 80


def check_name(text: str, max_characters: int = MAX_CHARACTERS) -> str | None:
    """Say what is wrong with a name, or return `None` when it is valid."""
    if not text:
        return "is empty"
    if len(text) > max_characters:
        return f"has {len(text)} characters, of which {max_characters} are allowed"
    # Control characters, lone surrogates and invisible formatting are all "not printable".
    if not text.isprintable():
        return "holds a character that is not printable"
    if not _FORBIDDEN.isdisjoint(text):
        return "holds one of the characters + # /"
    if _REPLACEMENT in text:
        return "holds U+FFFD, which stands for bytes that were not UTF-8"
    return None


def quote(text: str) -> str:
    """`text` in quotes, shortened and escaped so that it can be logged and stored."""
    shown = repr(text[:_SHOWN_CHARACTERS])
    if len(text) <= _SHOWN_CHARACTERS and len(shown) <= _SHOWN_CHARACTERS + 2:
        return shown
    return f"{shown[:_SHOWN_CHARACTERS]}…"

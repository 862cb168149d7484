"""Text as bytes, and back, whatever it holds.

What a device sent may hold halves of surrogate pairs, which are for the database to refuse.
"""


def encoded(text: str) -> bytes:
    """UTF-8, in which halves of surrogate pairs are let through."""
    return text.encode("utf-8", "surrogatepass")


def decoded(data: bytes) -> str:
    """The text that was encoded; `ValueError` for bytes that none was encoded to."""
    return data.decode("utf-8", "surrogatepass")


def to_bytes(text: str | None) -> bytes | None:
    """The same where there may be none."""
    return None if text is None else encoded(text)


def to_text(data: bytes | None) -> str | None:
    """The same where there may be none."""
    return None if data is None else decoded(data)

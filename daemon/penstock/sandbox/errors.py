"""The one error of the sandbox."""

from penstock.errors import PenstockError


class SandboxError(PenstockError):
    """A server was not found, started or stopped; the text says what to do or shows its log."""

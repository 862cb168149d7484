"""Time that a test moves by hand."""


class ManualClock:
    """Stands still until `advance` is called; wall and monotonic time move together."""

    def __init__(self, now_us: int = 1_790_000_000_000_000) -> None:
        self._now_us = now_us
        self._monotonic_seconds = 1_000.0

    def now_us(self) -> int:
        return self._now_us

    def monotonic_seconds(self) -> float:
        return self._monotonic_seconds

    def advance(self, seconds: float) -> None:
        self._now_us += round(seconds * 1_000_000)
        self._monotonic_seconds += seconds

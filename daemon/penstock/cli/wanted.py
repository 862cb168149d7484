"""Whose readings to tap, and what to subscribe to for them. Pure."""

from collections.abc import Sequence

import msgspec

from penstock.errors import ConfigError
from penstock.pipeline.devices import Device
from penstock.settings.tree import Route
from penstock.topics import check_name
from penstock.topics.filters import widest
from penstock.topics.template import compile_template


class Wanted(msgspec.Struct, frozen=True):
    """Whose readings to print; `None` is everybody's.

    Errors: `ConfigError` when a name is none.
    """

    tenant: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        for part in ("tenant", "device"):
            name = getattr(self, part)
            fault = None if name is None else check_name(name)
            if fault is not None:
                raise ConfigError(f"--{part} {fault}")

    def includes(self, device: Device) -> bool:
        """Whether messages of a device are wanted."""
        return self.tenant in (None, device.tenant) and self.device in (None, device.device)

    def filters(self, routes: Sequence[Route]) -> list[str]:
        """The narrowest MQTT filters for all that is wanted; none when no route can bring it."""
        templates = (self._narrowed(route) for route in routes)
        return widest(compile_template(template).filter for template in templates if template)

    def _narrowed(self, route: Route) -> str | None:
        levels = route.topic.split("/")
        for part in ("tenant", "device"):
            name = getattr(self, part)
            if name is None:
                continue
            if getattr(route, part) not in (None, name):
                return None
            levels = [name if level == f"{{{part}}}" else level for level in levels]
        return "/".join(levels)

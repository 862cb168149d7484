"""What is known of the database's health, for people and for the health answer."""

import msgspec


class DatabaseStatus(msgspec.Struct, frozen=True):
    """Whether the last thing asked of the database worked."""

    connected: bool
    detail: str
    """`connected`, or why not in plain words."""


CONNECTED = DatabaseStatus(connected=True, detail="connected")
NOT_YET = DatabaseStatus(connected=False, detail="not connected yet")

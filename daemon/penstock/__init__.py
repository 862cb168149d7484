"""Penstock brings sensor messages from MQTT brokers into TimescaleDB without losing any.

Importing this package loads nothing else; it holds the version and nothing more.
"""

__version__ = "0.1.0"

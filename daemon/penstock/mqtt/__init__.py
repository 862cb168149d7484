"""The session with the broker: sans-IO core, its Protocol, the aiomqtt source, the ack ledger."""

from penstock.mqtt.factory import make_source

__all__ = ["make_source"]

"""The session with the broker: sans-IO core, its Protocol, the aiomqtt source, the ack ledger."""

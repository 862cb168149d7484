"""A private mosquitto and a private PostgreSQL with TimescaleDB, for demo, tests and benchmarks.

What always holds: servers listen on the loopback alone; they end when the process that started
them ends, however it ends; and nothing is written outside the scratch folder. Everything here
blocks, and may be called from any thread.

Never for production: whoever can reach the loopback is let in.
"""

from penstock.sandbox.broker import Broker
from penstock.sandbox.certificates import Certificates, make_certificates
from penstock.sandbox.databases import create_database, drop_database, make_template
from penstock.sandbox.endpoints import database_server, mqtt_broker
from penstock.sandbox.errors import SandboxError
from penstock.sandbox.postgres import Postgres
from penstock.sandbox.scratch import scratch_folder

__all__ = [
    "Broker",
    "Certificates",
    "Postgres",
    "SandboxError",
    "create_database",
    "database_server",
    "drop_database",
    "make_certificates",
    "make_template",
    "mqtt_broker",
    "scratch_folder",
]

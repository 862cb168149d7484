"""The account of every reading, by tenant.

Promise: received = stored + duplicate + dead-lettered + in flight + spooled + shed, at every moment
between two steps of the event loop. Each stage moves readings from one column to the next in one
synchronous step; `in_flight` and `spooled` are kept by those who hold the readings and never
derived from the others, because a derived column would balance whatever was lost.

An undecodable message counts as one reading: it was received, and it is dead-lettered.

Tenants are bounded: those after the first `MAX_TENANTS` share the account `_other`, and what cannot
be put down to a tenant (a bad topic) is in `_unknown`. A tenant's name comes from a topic, and
whoever can publish could otherwise make labels without end.
"""

import msgspec

MAX_TENANTS = 1_000
OTHER_TENANTS = "_other"
NO_TENANT = "_unknown"


class Account(msgspec.Struct):
    """The readings of one tenant. All columns count upwards, except `in_flight` and `spooled`."""

    received: int = 0
    """Handed to the intake by the broker, or found in the spool."""
    stored: int = 0
    """Committed in the database by us."""
    duplicate: int = 0
    """In the database already, or twice in one batch."""
    dead_lettered: int = 0
    """Committed as dead letters."""
    in_flight: int = 0
    """Received and in memory: in the batch being built, queued, or with a writer."""
    spooled: int = 0
    """On the local disk, not committed yet."""
    shed: int = 0
    """Given up: of QoS 0 while everything was full, dropped from a full spool, or damaged there."""

    @property
    def imbalance(self) -> int:
        """Readings received that no column accounts for; negative when some are counted twice."""
        accounted = self.stored + self.duplicate + self.dead_lettered + self.shed
        return self.received - accounted - self.in_flight - self.spooled


class Ledger:
    """Every tenant's account."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}

    def account(self, tenant: str | None) -> Account:
        """The account that `tenant` is counted in; the same object for the life of the process."""
        name = NO_TENANT if tenant is None else tenant
        account = self.accounts.get(name)
        if account is None:
            if len(self.accounts) >= MAX_TENANTS and name not in {NO_TENANT, OTHER_TENANTS}:
                return self.account(OTHER_TENANTS)
            account = self.accounts[name] = Account()
        return account

    def totals(self) -> Account:
        """The sum of all accounts, as an account."""
        total = Account()
        for account in self.accounts.values():
            for column in Account.__struct_fields__:
                setattr(total, column, getattr(total, column) + getattr(account, column))
        return total

    def imbalances(self) -> dict[str, int]:
        """The accounts that do not balance, and by how many readings. Empty when all is well."""
        return {
            tenant: account.imbalance
            for tenant, account in self.accounts.items()
            if account.imbalance != 0
        }

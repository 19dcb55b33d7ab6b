"""The durable engine: works, their states, leases, retries, groups and history.

A work is the only thing that runs, whatever a surface calls it. It is claimed by a holder for
the length of a lease, and each claim raises its `attempt`, the fence: only the holder of the
present attempt can renew, finish or fail it. Every change of state goes through
`transitions`, which writes the event that records it in the same transaction.

All functions take the transaction (a SQLAlchemy `Connection`) first; see longshore.storage.
"""

from __future__ import annotations

"""Between HTTP and the services: who calls, what the body holds, and answers given only once.

`allow(Permission.X)` is the dependency that each route of a surface declares; the `Call` that it
gives runs services in transactions, with their audit entry and their Idempotency-Key.
"""

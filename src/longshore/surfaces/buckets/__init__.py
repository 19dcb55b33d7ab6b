"""The buckets surface: deposit works into named buckets, withdraw, run, report.

Its nouns and the engine's:

| here | engine |
|---|---|
| pipeline (bucket) | queue of surface "buckets", of the same name |
| work | work without a payload: its document lies in `bucket_works` |
| `attempt` of the document | attempt of the work, and an offset where a client has set it back |
| `start` of the document | beginning of the attempt; with `attempt`, the fence of an update |
| results | a row of the results store, once the work has moved there |

A document is what a client deposited. What the engine knows better (`id`, `status`, `attempt`,
`start`) is laid over it when it is read (`documents`), and the query language sees the same
(`query`). The facts of the protocol are those of the published client `workflow.core` 1.12.
"""

from __future__ import annotations

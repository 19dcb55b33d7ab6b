"""The pipelines surface: push records in chunks, have them computed, pull the outputs.

Its nouns and the engine's:

| here | engine |
|---|---|
| version of a service | queue of surface "pipelines"; synchronous executions wait in it |
| pipeline (batch) | a queue of its own, whose parent is the version's: who serves that serves it |
| chunk | work without a payload: its inputs and outputs lie in tables of this surface |
| `max_workers` | the queue's `concurrency_max` |
| full output buffer | the queue is held, until somebody pulls |
| idle for half an hour | the pipeline is closed by a pass of the server |

All figures that a client is told are computed from `pipeline_chunks`, one row for each chunk. The
bodies are kept as the bytes that came; the server counts the records of a chunk and looks at
nothing else in them. The facts of the protocol are those of the published client `cspark` 0.3.3.
"""

from __future__ import annotations

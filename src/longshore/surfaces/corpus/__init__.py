"""The corpus surface: elements of documents, what workers find on them, and the workers' processes.

Its nouns and the engine's:

| here | engine |
|---|---|
| version of a worker | queue of surface "corpus"; its tasks wait in it for `longshore worker` |
| task of a process | work of that queue; parents of a worker run are what it requires |
| process | group of its tasks |
| worker run of a process | queue of surface "activities", which no `longshore worker` claims from |
| activity of an element | work of that queue: queued, started (running), processed (success), error |

What is found on an element is stamped with the worker run that found it; without one it was made
by hand. Ids are UUIDs, as the published clients want them. The facts of the protocol are those of
`arkindex-base-worker` 0.4.0 and 0.6.0.
"""

from __future__ import annotations

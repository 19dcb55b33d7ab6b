"""The apps surface: upload files, run an app over them, take the results, clean up.

Its nouns and the engine's:

| here | engine |
|---|---|
| version of an app | queue of surface "apps", named owner/name@version |
| file of a run | work; its payload names the blob, its result holds the documents |
| run | group of those works, and a system job that requires them all and ends the run |
| deletion job | work of the organisation's system queue |

Files lie in one drive (`files`, `drive`); a batch is a row and a folder of it (`batches`,
`uploads`). `catalogue` knows apps and versions; `starting`, `runs`, `results`, `finishing` and
`run_deletion` follow a run through its life; `deployments` and `retention` start and clean up by
rule. All of these are plain functions over a transaction; HTTP is in `routes` alone. The facts of
the protocol are those of the published client `instabase-aihub` 0.14.
"""

from __future__ import annotations

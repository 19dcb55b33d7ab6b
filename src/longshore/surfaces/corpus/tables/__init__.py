"""The tables of the corpus surface; what moves tasks and activities through their lives is the engine's."""

from __future__ import annotations

from longshore.surfaces.corpus.tables.datasets import (
    corpus_artifacts,
    corpus_dataset_elements,
    corpus_dataset_sets,
    corpus_datasets,
    corpus_exports,
    corpus_links,
    corpus_model_versions,
    corpus_models,
    corpus_upload_parts,
    corpus_uploads,
)
from longshore.surfaces.corpus.tables.elements import (
    corpora,
    corpus_elements,
    corpus_images,
    corpus_paths,
    corpus_types,
)
from longshore.surfaces.corpus.tables.processes import (
    corpus_activities,
    corpus_process_elements,
    corpus_process_sets,
    corpus_processes,
    corpus_tasks,
    corpus_worker_configurations,
    corpus_worker_runs,
    corpus_worker_versions,
    corpus_workers,
)
from longshore.surfaces.corpus.tables.results import (
    corpus_classes,
    corpus_classifications,
    corpus_embeddings,
    corpus_entities,
    corpus_entity_types,
    corpus_metadata,
    corpus_transcription_entities,
    corpus_transcriptions,
)

__all__ = [
    "corpora",
    "corpus_activities",
    "corpus_artifacts",
    "corpus_classes",
    "corpus_classifications",
    "corpus_dataset_elements",
    "corpus_dataset_sets",
    "corpus_datasets",
    "corpus_elements",
    "corpus_embeddings",
    "corpus_entities",
    "corpus_entity_types",
    "corpus_exports",
    "corpus_images",
    "corpus_links",
    "corpus_metadata",
    "corpus_model_versions",
    "corpus_models",
    "corpus_paths",
    "corpus_process_elements",
    "corpus_process_sets",
    "corpus_processes",
    "corpus_tasks",
    "corpus_transcription_entities",
    "corpus_transcriptions",
    "corpus_types",
    "corpus_upload_parts",
    "corpus_uploads",
    "corpus_worker_configurations",
    "corpus_worker_runs",
    "corpus_worker_versions",
    "corpus_workers",
]

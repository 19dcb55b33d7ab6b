"""The Python client: `Client`, `AsyncClient`, and the types that they give back.

`AsyncClient` is written by hand in `_async`; `Client` is made from it by tools/unasync.py. What
needs no network (`results`, `records`, `options` and the private modules) is shared by both.
"""

from __future__ import annotations

from longshore.sdk._async.batches import AsyncBatch
from longshore.sdk._async.buckets import AsyncBuckets
from longshore.sdk._async.buckets_actions import AsyncAction
from longshore.sdk._async.buckets_heartbeat import AsyncHeartbeat
from longshore.sdk._async.buckets_results import AsyncResults
from longshore.sdk._async.buckets_webhooks import AsyncWebhooks
from longshore.sdk._async.buckets_work import AsyncWork
from longshore.sdk._async.client import AsyncClient
from longshore.sdk._async.deployments import AsyncDeployment
from longshore.sdk._async.jobs import AsyncDeletion, AsyncJob
from longshore.sdk._async.pipelines import AsyncPipeline, AsyncPipelines
from longshore.sdk._async.pipelines_map import AsyncMapper
from longshore.sdk._async.runs import AsyncRun
from longshore.sdk._connection import Connection, find_connection
from longshore.sdk._pipelines import PipelineOptions
from longshore.sdk._sync.batches import Batch
from longshore.sdk._sync.buckets import Buckets
from longshore.sdk._sync.buckets_actions import Action
from longshore.sdk._sync.buckets_heartbeat import Heartbeat
from longshore.sdk._sync.buckets_results import Results
from longshore.sdk._sync.buckets_webhooks import Webhooks
from longshore.sdk._sync.buckets_work import Work
from longshore.sdk._sync.client import Client
from longshore.sdk._sync.deployments import Deployment
from longshore.sdk._sync.jobs import Deletion, Job
from longshore.sdk._sync.pipelines import Pipeline, Pipelines
from longshore.sdk._sync.pipelines_map import Mapper
from longshore.sdk._sync.runs import Run
from longshore.sdk.buckets import ActionInfo, Artifact, BucketChanges, BucketSettings, Webhook
from longshore.sdk.mapping import MapOptions, MapSummary, RecordFailed, RecordWarning
from longshore.sdk.operations import (
    AuditEntry,
    Cancelled,
    Counts,
    Diagnosis,
    Event,
    Finding,
    FoundWork,
    Hold,
    Identity,
    Key,
    LogLine,
    NewKey,
    Queue,
    Why,
    WorkCount,
    Worker,
    WorkInfo,
    WorksAction,
    WorkState,
)
from longshore.sdk.options import DeploymentChanges, RunFilters, RunOptions
from longshore.sdk.pipelines import (
    BatchChunk,
    ChunkData,
    PipelineInfo,
    PipelinesInfo,
    PipelineStats,
    PipelineStatus,
    PipelineSummary,
    PipelineUse,
    PulledChunk,
    create_chunks,
)
from longshore.sdk.records import (
    BatchInfo,
    DeploymentInfo,
    FileMetadata,
    JobInfo,
    Node,
    Removed,
    RunInfo,
)
from longshore.sdk.results import RunResults
from longshore.wire.apps import App, AppVersion, FileCounts, JobState, RunStatus
from longshore.wire.buckets import WorkArchive, WorkConfig, WorkNotify, WorkSlack
from longshore.wire.deployments import Retention
from longshore.wire.results import ResultDocument, ResultField, ResultFile
from longshore.wire.reviews import Review, ReviewedDocument, ReviewField, ReviewState

__all__ = [
    "Action",
    "ActionInfo",
    "App",
    "AppVersion",
    "Artifact",
    "AsyncAction",
    "AsyncBatch",
    "AsyncBuckets",
    "AsyncClient",
    "AsyncDeletion",
    "AsyncDeployment",
    "AsyncHeartbeat",
    "AsyncJob",
    "AsyncMapper",
    "AsyncPipeline",
    "AsyncPipelines",
    "AsyncResults",
    "AsyncRun",
    "AsyncWebhooks",
    "AsyncWork",
    "AuditEntry",
    "Batch",
    "BatchChunk",
    "BatchInfo",
    "BucketChanges",
    "BucketSettings",
    "Buckets",
    "Cancelled",
    "ChunkData",
    "Client",
    "Connection",
    "Counts",
    "Deletion",
    "Deployment",
    "DeploymentChanges",
    "DeploymentInfo",
    "Diagnosis",
    "Event",
    "FileCounts",
    "FileMetadata",
    "Finding",
    "FoundWork",
    "Heartbeat",
    "Hold",
    "Identity",
    "Job",
    "JobInfo",
    "JobState",
    "Key",
    "LogLine",
    "MapOptions",
    "MapSummary",
    "Mapper",
    "NewKey",
    "Node",
    "Pipeline",
    "PipelineInfo",
    "PipelineOptions",
    "PipelineStats",
    "PipelineStatus",
    "PipelineSummary",
    "PipelineUse",
    "Pipelines",
    "PipelinesInfo",
    "PulledChunk",
    "Queue",
    "RecordFailed",
    "RecordWarning",
    "Removed",
    "ResultDocument",
    "ResultField",
    "ResultFile",
    "Results",
    "Retention",
    "Review",
    "ReviewField",
    "ReviewState",
    "ReviewedDocument",
    "Run",
    "RunFilters",
    "RunInfo",
    "RunOptions",
    "RunResults",
    "RunStatus",
    "Webhook",
    "Webhooks",
    "Why",
    "Work",
    "WorkArchive",
    "WorkConfig",
    "WorkCount",
    "WorkInfo",
    "WorkNotify",
    "WorkSlack",
    "WorkState",
    "Worker",
    "WorksAction",
    "create_chunks",
    "find_connection",
]

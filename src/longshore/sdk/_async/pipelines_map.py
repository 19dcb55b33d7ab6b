"""Mapping a service over records: `client.pipeline(...)`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, BinaryIO, Self, Unpack, cast, overload

import msgspec

from longshore.errors import InvalidRequest, LongshoreError, NotFound
from longshore.sdk import _chunking, _journal
from longshore.sdk._async.pipelines import AsyncPipelines
from longshore.sdk._async.pipelines_cutter import AsyncCutter
from longshore.sdk._async.pipelines_flow import AsyncFlow
from longshore.sdk._async.transport import AsyncTransport
from longshore.sdk._calls import Call, segment
from longshore.sdk._chunking import Sizer
from longshore.sdk._journal import Journal, KnownChunk, KnownChunks, Planned
from longshore.sdk._outputs import Reader
from longshore.sdk._pipelines import PipelineOptions
from longshore.sdk._progress import Meter
from longshore.sdk._records import Records, Source, open_source
from longshore.sdk._sources import FilePath
from longshore.sdk._targets import Target, layout_of
from longshore.sdk.mapping import MapOptions, MapSummary
from longshore.sdk.pipelines import PipelineStatus

_IN_FLIGHT = 500_000
_PAGE_CHUNKS = 1_000
_GOING = frozenset({"created", "in_progress"})


class AsyncMapper:
    """Maps a service over records; `client.pipeline(...)` gives one.

        async with client.pipeline("shop/price") as pipeline:
            async for output in pipeline.map(records):
                ...
            await pipeline.map("orders.csv", to="prices.jsonl")

    Each `map` has a pipeline of its own, which is closed at its end, and cancelled where it is left
    early. Leaving the block does so for those that are still going on.

    Attributes:
        summary: what became of the records of the latest `map`, as far as it has come.
    """

    def __init__(
        self,
        transport: AsyncTransport,
        pipelines: AsyncPipelines,
        uri: str,
        options: PipelineOptions,
    ) -> None:
        """Refer to a service; nothing is sent."""
        self._transport = transport
        self._pipelines = pipelines
        self._uri = uri
        self._options = options
        self._going: list[AsyncFlow] = []
        self.summary = MapSummary()

    def __repr__(self) -> str:
        """Show the service."""
        return f"<{type(self).__name__} of {self._uri}>"

    async def __aenter__(self) -> Self:
        """Return the object itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cancel what is still going on."""
        while self._going:
            await self._abandon(self._going[-1])

    @overload
    def map(
        self, records: Records, *, to: None = None, **options: Unpack[MapOptions]
    ) -> AsyncIterator[Any]: ...

    @overload
    def map(
        self,
        records: Records,
        *,
        to: FilePath | BinaryIO,
        resume: bool | FilePath = False,
        overwrite: bool = False,
        errors: FilePath | None = None,
        **options: Unpack[MapOptions],
    ) -> Awaitable[MapSummary]: ...

    def map(
        self,
        records: Records,
        *,
        to: FilePath | BinaryIO | None = None,
        resume: bool | FilePath = False,
        overwrite: bool = False,
        errors: FilePath | None = None,
        **options: Unpack[MapOptions],
    ) -> Any:
        """Compute all records: give their outputs, or write them to a file.

        Records are pushed while outputs are pulled; no more than `in_flight` are in between, so
        that the input may be of any length. What reads them runs beside the caller's code: in
        a thread of its own, or with AsyncClient in a task.

        Args:
            records: mappings, or rows below a first row of names, in any iterable; or the path of
                a JSONL, CSV, TSV or Parquet file.
            to: path of a .jsonl or .csv file for the outputs, or an open binary file. Failed
                records (with on_error="skip") are left out of it.
            resume: go on with a run that was interrupted, by the journal beside `to`, or by the
                one at this path. A run that is complete has none, and nothing is done.
            overwrite: begin anew where `to` is there already.
            errors: path of a JSONL file for {"index", "input", "errors"} of each failed record.
            **options: see `MapOptions` (ordered, chunk_size, on_error, progress, ...).

        Returns:
            An iterator over outputs, or, with `to`, a summary.

        Raises:
            NotFound: there is no such service (the message lists near names) or version.
            RecordFailed: a record has an error, and on_error is "raise".
            InvalidRequest: an option, or a record, cannot be used.
            Conflict: the output is there already, or the run cannot be resumed.
        """
        _check(options)
        if to is not None:
            return self._write(
                records, to, options, resume=resume, overwrite=overwrite, errors=errors
            )
        if resume or overwrite or errors is not None:
            raise InvalidRequest("resume, overwrite and errors are for maps into a file; give to=.")
        return self._outputs(records, options)

    async def _outputs(self, records: Records, options: MapOptions) -> AsyncIterator[Any]:
        reader = _reader(options, 0)
        source = open_source(records, options.get("format"))
        try:
            flow = await self._flow(source, options, await self._create())
        except BaseException:
            source.close()
            raise
        begun = time.monotonic()
        try:
            with Meter(self._uri, source.total, shown=options.get("progress", False)) as meter:
                async for arrivals in flow.arrivals():
                    for arrival in arrivals:
                        flow.deliveries.settle(arrival.cut.id)
                    for arrival in reader.order(arrivals):
                        outputs, failure = reader.read(arrival)
                        for output in outputs:
                            yield output
                        if failure is not None:
                            raise failure
                        flow.given(arrival)
                        meter.update(flow.position, reader.records, reader.failed)
                        self.summary = _summary(reader, flow, begun)
            await flow.end("closed")
            self.summary = _summary(reader, flow, begun)
        finally:
            await self._abandon(flow)

    async def _write(
        self,
        records: Records,
        to: FilePath | BinaryIO,
        options: MapOptions,
        *,
        resume: bool | FilePath,
        overwrite: bool,
        errors: FilePath | None,
    ) -> MapSummary:
        if options.get("on_error") == "yield":
            raise InvalidRequest(
                'Into a file, on_error is "raise" or "skip", with errors= for them.'
            )
        source = open_source(records, options.get("format"))
        with ExitStack() as stack:
            stack.callback(source.close)
            target = Target(
                to,
                Journal(
                    service=self._uri,
                    parameters=_journal.digest(options.get("parameters")),
                    source=source.identity,
                    layout=layout_of(
                        to,
                        ordered=options.get("ordered", True),
                        indexed=options.get("indexed", False),
                    ),
                ),
                errors=errors,
                resume=resume,
                overwrite=overwrite,
            )
            stack.callback(target.close)
            if target.finished:
                self.summary = MapSummary()
            else:
                await self._write_all(source, target, options)
        return self.summary

    async def _write_all(self, source: Source, target: Target, options: MapOptions) -> None:
        begun = time.monotonic()
        resumed, failed_before = target.journal.total, target.journal.failed
        plan = await self._plan(target)
        flow = await self._flow(source, options, target.journal.pipeline_id)
        reader = _reader(options, target.journal.records)
        stop = options.get("on_error", "raise") == "raise"
        try:
            with Meter(self._uri, source.total, shown=options.get("progress", False)) as meter:
                skipped = Planned(_journal.Step.SKIP, target.journal.records)
                early = await flow.recover([skipped, *plan])
                async for arrivals in flow.arrivals(early):
                    for arrival in reader.order(arrivals):
                        failures = reader.failures(arrival)
                        if failures and stop:
                            raise failures[min(failures)]
                        target.write(arrival, failures)
                        flow.given(arrival)
                    if target.due:
                        for chunk in target.checkpoint():
                            flow.deliveries.settle(chunk)
                    meter.update(flow.position, reader.records, reader.failed)
            for chunk in target.checkpoint():
                flow.deliveries.settle(chunk)
            await flow.end("closed")
            target.complete()
        finally:
            await flow.stop()
            if target.resumable:
                target.checkpoint()
                self._going.remove(flow)
            else:
                await self._abandon(flow)
            self.summary = _summary(
                reader, flow, begun, resumed=resumed, failed_before=failed_before
            )

    async def _plan(self, target: Target) -> Sequence[Planned]:
        """Return what to do with the records that an earlier run had on their way."""
        journal = target.journal
        if journal.pipeline_id:
            known = await self._known(journal.pipeline_id)
            steps = None if known is None else _journal.plan_with(journal, known)
            if steps is not None:
                return steps
            with suppress(NotFound):
                await self._pipelines.of(journal.pipeline_id).cancel()
        target.goes_to(await self._create())
        return _journal.plan_anew(journal)

    async def _known(self, pipeline_id: str) -> list[KnownChunk] | None:
        """Return the chunks of a pipeline that can be gone on with; None if it cannot be."""
        path = f"{await self._pipelines.root()}/{segment(pipeline_id)}"
        try:
            status = await self._transport.fetch(Call("GET", f"{path}/status"), PipelineStatus)
            if status.batch_status not in _GOING:
                return None
            found: list[KnownChunk] = []
            after: str | None = None
            while True:
                query = {"after": after, "limit": _PAGE_CHUNKS}
                response = await self._transport.send(Call("GET", f"{path}/chunks", query=query))
                page = msgspec.json.decode(response.content, type=KnownChunks)
                found += page.chunks
                after = page.next
                if after is None:
                    return found
        except NotFound:
            return None

    async def _create(self) -> str:
        return (await self._pipelines.create(self._uri, **self._options)).id

    async def _flow(self, source: Source, options: MapOptions, pipeline_id: str) -> AsyncFlow:
        megabytes = self._options.get("max_input_size")
        push_bytes = _chunking.PUSH_BYTES
        if megabytes is not None:
            # Several pushes fit into the buffer, so that it never runs empty.
            push_bytes = max(1, min(push_bytes, int(megabytes * 1_000_000 / 4)))
        sizer = Sizer(options.get("chunk_size"))
        cutter = AsyncCutter(
            source,
            sizer,
            parameters=options.get("parameters"),
            in_flight=options.get("in_flight", _IN_FLIGHT),
            largest_bytes=min(_chunking.SPLIT_BYTES, push_bytes),
        )
        path = f"{await self._pipelines.root()}/{segment(pipeline_id)}"
        flow = AsyncFlow(self._transport, path, cutter, sizer, push_bytes)
        self._going.append(flow)
        return flow

    async def _abandon(self, flow: AsyncFlow) -> None:
        """Cancel a flow unless it is over; that the server is away does not matter any more."""
        if flow in self._going:
            self._going.remove(flow)
        await flow.stop()
        with suppress(LongshoreError):
            await flow.end("cancelled")


def _check(options: MapOptions) -> None:
    unknown = sorted(options.keys() - MapOptions.__annotations__.keys())
    if unknown:
        raise InvalidRequest(
            f"map has no option {unknown[0]!r}. There are: {', '.join(MapOptions.__annotations__)}."
        )
    for name in ("chunk_size", "in_flight"):
        value = cast(int | None, options.get(name))
        if value is not None and value < 1:
            raise InvalidRequest(f"{name} is {value}; give 1 or more.")


def _reader(options: MapOptions, start: int) -> Reader:
    return Reader(
        ordered=options.get("ordered", True),
        indexed=options.get("indexed", False),
        on_error=options.get("on_error", "raise"),
        on_warning=options.get("on_warning"),
        start=start,
    )


def _summary(
    reader: Reader, flow: AsyncFlow, begun: float, *, resumed: int = 0, failed_before: int = 0
) -> MapSummary:
    return MapSummary(
        records=resumed + reader.records,
        failed=failed_before + reader.failed,
        warnings=reader.warnings,
        resumed=resumed,
        seconds=time.monotonic() - begun,
        compute_ms=flow.compute_ms,
        pipeline_id=flow.pipeline_id,
    )

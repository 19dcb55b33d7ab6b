"""Telling Slack of a work whose document asks for it (`notify.slack`).

The published client has only the fields; what they do is the server's. One message goes to the
address in the server's configuration (LONGSHORE_SLACK_WEBHOOK_URL) when a work is over, or as soon
as it is deposited in the bucket `notify`. How that went is written to `notify.slack.reply`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select, update

from longshore import limits
from longshore.clock import SECOND_US
from longshore.edge import webhooks
from longshore.edge.jobs import JobContext
from longshore.edge.outbound import Answer
from longshore.engine import queues, works
from longshore.engine.works import Ending, Outcome
from longshore.errors import DeliveryFailed, InvalidRequest, LongshoreError, Reject
from longshore.surfaces.buckets import documents
from longshore.surfaces.buckets.tables import bucket_results, bucket_works

TELL: Final = "buckets.tell_slack"
BUCKET: Final = "notify"
"""A bucket whose works are nothing but messages: they are done when they are deposited."""
RECEIVER: Final = "slack"
ACTOR: Final = "notify"
SECTION_CHARACTERS: Final = 2_900
"""Slack takes 3,000 in the text of a section."""
BLOCKS: Final = 50
"""Slack takes so many in a message."""
_NEVER_TAKEN: Final = frozenset({400, 401, 403, 404})
"""Slack's words that it will not take this message, or none at this address."""
_OURS: Final = frozenset({"text", "channel", "blocks"})


def asked(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the `notify.slack` of a document that names somebody to tell, or None."""
    notify = document.get("notify")
    slack = notify.get("slack") if isinstance(notify, Mapping) else None
    if isinstance(slack, Mapping) and (slack.get("channel_id") or slack.get("member_ids")):
        return slack
    return None


def watch(connection: Connection, deposited: Sequence[tuple[str, int, Mapping[str, Any]]]) -> None:
    """See to those among new works (id, queue id, document) that are to be told to Slack.

    To be called in the transaction of the deposit, when the documents are stored. It reads nothing
    unless one of them asks.
    """
    asking = [each for each in deposited if asked(each[2]) is not None]
    if not asking:
        return
    known = queues.get_many(connection, {queue_id for _, queue_id, _ in asking})
    for queue in known.values():
        if not queue.notices:
            queues.configure(connection, queue.id, notices=True)
    for queue in known.values():
        if queue.name == BUCKET:
            _complete(connection, queue.id, [one[0] for one in asking if one[1] == queue.id])


def message(document: Mapping[str, Any], slack: Mapping[str, Any], status: str) -> dict[str, Any]:
    """Return the body for Slack: `text`, `blocks`, and `channel` where one is named.

    `text` is the work's message, or says what became of it, after the members who are to notice.
    """
    pipeline, work_id = str(document.get("pipeline")), str(document.get("id"))
    said = slack.get("message") or f"Work {work_id} in {_escaped(pipeline)}: {status}"
    members = slack.get("member_ids") or []
    text = " ".join([*(f"<@{_escaped(str(member))}>" for member in members), str(said)])
    blocks = [_section(_cut(text))]
    for name in ("results", "products", "plots"):
        if slack.get(name) and document.get(name):
            value = document[name]
            shown = "\n".join(map(str, value)) if isinstance(value, list) else _pretty(value)
            blocks.append(_section(f"*{name.title()}*\n```{_cut(_escaped(shown))}```"))
    own_blocks, more = _own(slack.get("blocks"))
    body = {**more, "text": text[: limits.SLACK_TEXT_CHARACTERS]}
    body["blocks"] = [*blocks, *own_blocks][:BLOCKS]
    if slack.get("channel_id"):
        body["channel"] = slack["channel_id"]
    return body


async def tell(context: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    """Send a message to Slack once, and write into the work's document how that went.

    Raises:
        DeliveryFailed: Slack cannot be reached, or did not take it now.
        Reject: it never will.
    """
    if context.slack_url is None:
        error = (
            "The server knows no address of Slack; its operator sets LONGSHORE_SLACK_WEBHOOK_URL."
        )
        await _reply(context, payload, {"ok": False, "status": None, "error": error})
        return {"answered": 0}
    status: int | None = None
    try:
        data = json.dumps(payload["body"]).encode()
        answer = await context.outbound.post(context.slack_url.get_secret_value(), data, {})
        status = answer.status
        _check(answer)
    except (DeliveryFailed, InvalidRequest, Reject) as error:
        await _reply(context, payload, {"ok": False, "status": status, "error": error.message})
        raise _final(error) from None
    await _reply(context, payload, {"ok": True, "status": status})
    return {"answered": status}


def _check(answer: Answer) -> None:
    if answer.status in _NEVER_TAKEN:
        said = answer.body[: limits.SLACK_ANSWER_BYTES].decode("utf-8", "replace")
        raise Reject(f"Slack answered {answer.status} and will not take this: {said}")
    webhooks.check(answer)


def _final(error: LongshoreError) -> LongshoreError:
    """Return the error as one that ends the job, unless another try can help."""
    return error if isinstance(error, DeliveryFailed | Reject) else Reject(error.message)


async def _reply(context: JobContext, payload: dict[str, Any], reply: dict[str, Any]) -> None:
    reply = {**reply, "at": context.clock.now_us() / SECOND_US, "attempt": context.attempt}
    await context.database.write(
        keep_reply, context.organisation_id, str(payload["work_id"]), reply
    )


def keep_reply(
    connection: Connection, organisation_id: str, work_id: str, reply: Mapping[str, Any]
) -> bool:
    """Write a reply into a work's document, wherever that is by now; False if it is gone."""
    found = documents.read(connection, [work_id], organisation_id=organisation_id, lock=True)
    if work_id in found:
        connection.execute(
            update(bucket_works)
            .where(bucket_works.c.work_id == work_id)
            .values(document=_with_reply(found[work_id].document, reply))
        )
        return True
    chosen = (bucket_results.c.organisation_id == organisation_id) & (
        bucket_results.c.id == work_id
    )
    stored = connection.execute(
        select(bucket_results.c.document).where(chosen).with_for_update()
    ).scalar()
    if stored is None:
        return False
    connection.execute(
        update(bucket_results).where(chosen).values(document=_with_reply(stored, reply))
    )
    return True


def _with_reply(text: str, reply: Mapping[str, Any]) -> str:
    document = msgspec.json.decode(text)
    slack = asked(document)
    # A client may have taken the wish back meanwhile.
    if slack is not None:
        document["notify"]["slack"]["reply"] = dict(reply)
    return documents.encode(document)


def _complete(connection: Connection, queue_id: int, work_ids: Sequence[str]) -> None:
    """Take works of the bucket `notify` and report them done, which tells of them."""
    for start in range(0, len(work_ids), limits.CLAIM_WORKS):
        some = work_ids[start : start + limits.CLAIM_WORKS]
        leases = works.claim(
            connection, [queue_id], limit=len(some), holder=ACTOR, lease_s=60.0, among=some
        )
        endings = [Ending(lease.id, lease.attempt, Outcome.SUCCESS) for lease in leases]
        works.finish(connection, endings, holder=ACTOR)


def _own(blocks: Any) -> tuple[list[Any], dict[str, Any]]:
    """Return the blocks that a work brings, and what else it wants in the message.

    `notify.slack.blocks` is an object: `{"blocks": [...]}` as Slack's builder of blocks writes it,
    or a single block, which has a `type`.
    """
    if not isinstance(blocks, Mapping) or not blocks:
        return [], {}
    if len(json.dumps(blocks)) > limits.SLACK_BLOCKS_BYTES:
        left_out = f"_The work's own blocks take more than {limits.SLACK_BLOCKS_BYTES} bytes._"
        return [_section(left_out)], {}
    if "type" in blocks:
        return [dict(blocks)], {}
    inner = blocks.get("blocks")
    more = {name: value for name, value in blocks.items() if name not in _OURS}
    return (inner if isinstance(inner, list) else []), more


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= SECTION_CHARACTERS else f"{text[: SECTION_CHARACTERS - 1]}…"


def _escaped(text: str) -> str:
    """Write text so that Slack shows it as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

"""Scripts as their users wrote them, as steps of workflows over three hosts, and what steps may do.

They stand in programs/scripts as they were published, but for this: extract.py and transform.py look
whether their payload was stored, load.py and etl.py know no names that an error leaves unbound,
etl.py ends with 1 when it fails, and tag_image.py calls psd-tools and openai by the names that those
have today (`composite`, `chat.completions.create` with a model). pg_util.py is the test's own.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from PIL import Image

from tests.acceptance.harness import Server
from tests.clients.scripts_rig import Services, Site, Store, python, services
from tests.conftest import PostgreSQLServer

SETTINGS = {"LONGSHORE_JANITOR_INTERVAL_S": "0.1"}
DATABASE = ["db_host", "db_name", "db_user", "db_password"]
TARGET = (
    "CREATE TABLE target_table (key TEXT PRIMARY KEY, value TEXT, at TIMESTAMPTZ DEFAULT now())"
)


@pytest.fixture(scope="module")
def called() -> Iterator[Services]:
    with services() as made:
        yield made


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, mark: str, called: Services) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("scripts")
    server = Server(directory / "data", mark, settings=SETTINGS)
    server.start()
    made = Site(server, directory, mark, called)
    try:
        made.start()
        yield made
    finally:
        made.close()
    assert not server.unforeseen(), "\n".join(server.unforeseen())


def three_steps(name: str) -> str:
    return f"""
workflow: {name}
triggers:
  events:
    - name: {name}
defaults:
  program: {python()}
steps:
  step1: {{script: extract.py, host: host1}}
  step2: {{script: transform.py, host: host2, depends_on: [step1]}}
  step3:
    script: load.py
    host: host3
    depends_on: [step2]
    keystore: [{", ".join(DATABASE)}]
"""


def test_three_steps_on_three_hosts_store_what_an_event_asked_for_once(
    site: Site, called: Services, postgresql_server: PostgreSQLServer
) -> None:
    store = Store.make(postgresql_server, TARGET)
    for name, value in store.secrets().items():
        site.user.secret(name, value)
    called.data = {"name": "Łódź harbour", "cranes": 3}
    site.user.apply(three_steps("arrival"))
    run_id = site.user.event("arrival", {"port": "Łódź"}, key="night 1")
    site.user.finish(run_id)
    assert site.user.payload(run_id, "STEP2") == {
        "transformed_data": {"name": "ŁÓDŹ HARBOUR", "cranes": "3"}
    }
    stored = store.rows("SELECT key, value, at FROM target_table ORDER BY key")
    assert [row[:2] for row in stored] == [("cranes", "3"), ("name", "ŁÓDŹ HARBOUR")]
    ran = {each["stepname"]: each["host"] for each in site.user.status(run_id)["steps"]}
    assert ran == {"step1": "host1", "step2": "host2", "step3": "host3"}
    # The same event again is the same run, and nothing is done.
    assert site.user.event("arrival", {"port": "Łódź"}, key="night 1") == run_id
    assert store.rows("SELECT key, value, at FROM target_table ORDER BY key") == stored
    # Another event runs all again, and leaves one result of both.
    called.data["cranes"] = 4
    site.user.finish(site.user.event("arrival", {"port": "Łódź"}, key="night 2"))
    assert store.rows("SELECT key, value FROM target_table ORDER BY key") == [
        ("cranes", "4"), ("name", "ŁÓDŹ HARBOUR"),
    ]  # fmt: skip


def test_a_step_that_fails_keeps_its_payload_and_the_others_waiting(
    site: Site, called: Services
) -> None:
    site.user.apply(three_steps("vain"))
    called.fails = True
    try:
        run_id = site.user.event("vain")
        assert site.user.over(run_id)["status"] == "failed"
    finally:
        called.fails = False
    assert site.user.steps(run_id) == {"step1": "failed", "step2": "waiting", "step3": "waiting"}
    assert site.user.payload(run_id, "step1") == {"error": "Failed to fetch data"}


ETL = f"""
workflow: etl
triggers:
  events:
    - name: etl
steps:
  etl:
    script: etl.py
    program: {{python}}
    host: host1
    keystore: [{", ".join(DATABASE)}]
"""


def test_a_batch_step_copies_a_table_however_often_it_runs(
    site: Site, postgresql_server: PostgreSQLServer
) -> None:
    store = Store.make(
        postgresql_server,
        "CREATE TABLE source_table (id INTEGER, name TEXT, size REAL)",
        "INSERT INTO source_table VALUES (1, 'crane', 2.5), (2, 'Łódź', NULL)",
        "CREATE TABLE target_table (column1 INTEGER PRIMARY KEY, column2 TEXT, column3 REAL)",
    )
    for name, value in store.secrets().items():
        site.user.secret(name, value)
    site.user.apply(ETL.format(python=python()))
    wanted = [(1, "CRANE", 2.5), (2, "ŁÓDŹ", None)]
    for _ in range(2):
        site.user.finish(site.user.event("etl"))
        assert store.rows("SELECT * FROM target_table ORDER BY column1") == wanted
    # Where it fails nothing of it is there, and the step has failed.
    store.run("INSERT INTO source_table VALUES (3, 'new', 1), (NULL, 'no id', 1)")
    assert site.user.over(site.user.event("etl"))["status"] == "failed"
    assert store.rows("SELECT * FROM target_table ORDER BY column1") == wanted


TAGS = """
workflow: tags
triggers:
  events:
    - name: image
      parallel: 1
steps:
  tag:
    script: tag_image.py
    program: {python}
    host: host2
    keystore: [sm_maindb, sm_encrypt, main_dbname, OPENAI_API_KEY, OPENAI_API_ASSISTANT_ID]
    environment:
      AWS_ENDPOINT_URL: {s3}
      AWS_ACCESS_KEY_ID: test
      AWS_SECRET_ACCESS_KEY: test
      AWS_DEFAULT_REGION: us-east-1
      OPENAI_BASE_URL: {services}/v1
"""


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """A bucket of an S3 server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    resource = boto3.resource(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    )
    yield resource.create_bucket(Bucket="assets")
    server.stop()


def test_an_image_is_tagged_on_an_event(
    site: Site, called: Services, bucket: Any, postgresql_server: PostgreSQLServer
) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (800, 600), "navy").save(picture, "PNG")
    bucket.put_object(Key="a/1", Body=picture.getvalue())
    store = Store.make(
        postgresql_server,
        "CREATE TABLE assets (tenant_id INT, asset_id INT, bucket TEXT, key TEXT, name TEXT)",
        "CREATE TABLE tags (tenant_id INT, asset_id INT, tags TEXT, UNIQUE (tenant_id, asset_id))",
        "CREATE TABLE tags_error (tenant_id INT, asset_id INT, code INT, error TEXT)",
        "INSERT INTO assets VALUES (7, 1, 'assets', 'a/1', 'Quay.PNG'),"
        " (7, 2, 'assets', 'a/2', 'gone.jpg')",
    )
    access = store.secrets()
    entries = {
        "sm_maindb": f"host={access['db_host']} user={access['db_user']}",
        "sm_encrypt": access["db_password"],
        "main_dbname": access["db_name"],
        "OPENAI_API_KEY": "sk-of-the-test-only",
        "OPENAI_API_ASSISTANT_ID": "asst-of-the-test",
    }
    for name, value in entries.items():
        site.user.secret(name, value)
    endpoint = bucket.meta.client.meta.endpoint_url
    site.user.apply(TAGS.format(python=python(), s3=endpoint, services=called.url))
    runs = [site.user.event("image", {"tenant_id": 7, "asset_id": asset}) for asset in (1, 1, 2)]
    ended = [site.user.over(run_id)["status"] for run_id in runs]
    assert ended == ["finished", "finished", "failed"], site.printed(*runs)
    assert store.rows("SELECT * FROM tags") == [(7, 1, "harbour, crane, dusk")]
    assert store.rows("SELECT asset_id, code, error FROM tags_error") == [
        (2, 8, "S3 file not found")
    ]
    assert [each["messages"][0]["content"] for each in called.questions] == [
        "Analyze this image"
    ] * 2
    assert all(b"JFIF" in each for each in called.uploads)


PROBE = """
import cawbs
answers = {"init": cawbs.Init(), "again": cawbs.Init()}
answers["listed"] = cawbs.GetKeystore("probe_listed")
answers["foreign"] = cawbs.GetKeystore("probe_listed,probe_other")
answers["absent"] = cawbs.GetStepPayload("no/such step?")
other = cawbs.GetEventPayload()["payload"]["other"]
answers["status"] = cawbs.GetEventStatus()
answers["of another"] = cawbs.GetEventStatus(other)
answers["put"] = cawbs.PutStepPayload({"order": {"név": "a/b ?%,ü", "open": True}})
answers["found"] = cawbs.GetActionIdByPayload("order,név", "a/b ?%,ü")
answers["found by truth"] = cawbs.GetActionIdByPayload("order,open", True)
answers["not found"] = cawbs.GetActionIdByPayload("order,név", "a")
answers["long"] = cawbs.PutStepPayload("x" * 2_000_000)
answers["masked"] = cawbs.PutStepPayload({"answers": answers, "order": {"név": "a/b ?%,ü"}})
assert answers["masked"]["status_code"] == 200, answers["masked"]
"""


def test_a_step_reaches_what_is_its_own_and_is_told_what_is_not(site: Site) -> None:
    site.user.secret("probe_listed", "a value of the test")
    site.user.secret("probe_other", "another value of the test")
    (site.directory / "host1" / "probe.py").write_text(PROBE, "utf-8")
    site.user.apply("""
workflow: probe
triggers:
  events:
    - name: probe
steps:
  probe: {script: probe.py, host: host1, keystore: [probe_listed]}
""")
    first = site.user.event("probe", {"other": 1_000_000})
    site.user.finish(first)
    run_id = site.user.event("probe", {"other": first})
    site.user.finish(run_id)
    answers = site.user.payload(run_id, "probe")["answers"]
    codes = {name: answer["status_code"] for name, answer in answers.items()}
    assert codes == {
        "init": 200, "again": 602, "listed": 200, "foreign": 605, "absent": 404, "status": 200,
        "of another": 404, "put": 200, "found": 200, "found by truth": 200, "not found": 200,
        "long": 413,
    }  # fmt: skip
    assert answers["foreign"]["error"] == "probe_other not found"
    assert answers["listed"]["answer"]["probe_listed"] != "a value of the test", "it is masked"
    assert answers["status"]["status"]["status"] == "running"
    found = [answers[name]["match"]["actionId"] for name in ("found", "found by truth")]
    assert found == [run_id, run_id]
    assert answers["not found"]["match"]["actionId"] is None


ONCE = """
import os, signal
from longshore import step

with open(os.environ["LOG"], "a") as log, step.once("the deed") as once:
    if once.new:
        log.write(f"begun in attempt {step.run.attempt}\\n")
        log.flush()
        if step.run.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        once.result = step.run.id
step.put(once.result)
"""


def test_what_a_killed_attempt_had_begun_is_done_by_the_next_one_and_then_never_again(
    site: Site,
) -> None:
    log = site.directory / "once.log"
    (site.directory / "host2" / "once.py").write_text(ONCE, "utf-8")
    site.user.apply(f"""
workflow: once
triggers:
  events:
    - name: once
defaults: {{script: once.py, host: host2, environment: {{LOG: {log}}}}}
steps:
  once: {{retries: {{attempts: 2, delay_s: 0}}}}
""")
    first = site.user.event("once")
    site.user.finish(first)
    second = site.user.event("once")
    site.user.finish(second)
    assert log.read_text("utf-8").splitlines() == ["begun in attempt 1", "begun in attempt 2"]
    assert [site.user.payload(run_id, "once") for run_id in (first, second)] == [first, first]

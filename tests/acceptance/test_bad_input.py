"""Bad input gets a clear answer and changes nothing: each line of what the product promises."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.acceptance import raw
from tests.acceptance.api import OWNER, Holder, User
from tests.acceptance.conftest import Harbour, wait_for_apps
from tests.acceptance.harness import Server


@pytest.fixture
def holder(harbour: Harbour, server: Server) -> Holder:
    return harbour.holder(server, "Echo", "Meal Receipt")


def _told(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    told: dict[str, Any] = answer.json()
    assert told["request_id"] == answer.headers["x-request-id"]
    return str(told["message"])


def _everything(user: User) -> Any:
    """Return all that a user can list, to see that nothing has changed."""
    batches = user.get("/api/v2/batches")["batches"]
    files = {
        batch["id"]: user.get(f"/api/v2/batches/{batch['id']}/files")["nodes"] for batch in batches
    }
    return (batches, files, user.get("/api/v2/apps/runs")["runs"])


def test_a_wrong_key_or_context_is_told_so(server: Server, user: User) -> None:
    before = _everything(user)
    wrong = {"Authorization": "Bearer wrong"}
    answer = user.http.post("/api/v2/batches", json={"name": "x"}, headers=wrong)
    assert "API key" in _told(answer, 401)
    context = {"IB-Context": "somebody-else"}
    answer = user.http.post("/api/v2/batches", json={"name": "x"}, headers=context)
    assert "somebody-else" in _told(answer, 401)
    for good in ("local", "LOCAL", "", server.credentials["organisation_id"]):
        assert user.http.get("/api/v2/batches", headers={"IB-Context": good}).status_code == 200
    assert _everything(user) == before


def test_an_unknown_app_is_answered_with_near_names(user: User, holder: Holder) -> None:
    batch_id = user.batch_of({"a.txt": b"text"})
    before = _everything(user)
    body = {"app_name": "Meal Reciept", "owner": OWNER, "batch_id": batch_id}
    assert "Meal Receipt" in _told(user.http.post("/api/v2/apps/runs", json=body), 404)
    wrong_owner = {"app_name": "Meal Receipt", "owner": "nobody", "batch_id": batch_id}
    assert OWNER in _told(user.http.post("/api/v2/apps/runs", json=wrong_owner), 404)
    wrong_version = {**body, "app_name": "Meal Receipt", "version": "9.9"}
    assert "1.0.0" in _told(user.http.post("/api/v2/apps/runs", json=wrong_version), 404)
    assert _everything(user) == before


def test_a_run_over_nothing_is_refused(user: User, holder: Holder) -> None:
    batch_id = user.create_batch()
    before = _everything(user)
    for body in (
        {"app_name": "Echo", "owner": OWNER, "batch_id": batch_id},
        {"app_name": "Echo", "owner": OWNER},
        {"batch_id": batch_id},
        {"app_name": "Echo", "owner": OWNER, "batch_id": "seven"},
        {"app_name": "Echo", "owner": OWNER, "batch_id": 1.5},
        {"app_name": "Echo", "owner": OWNER, "batch_id": True},
    ):
        assert _told(user.http.post("/api/v2/apps/runs", json=body), 400)
    missing = {"app_name": "Echo", "owner": OWNER, "batch_id": 999_999}
    assert "999999" in _told(user.http.post("/api/v2/apps/runs", json=missing), 404)
    assert _everything(user) == before


def test_an_empty_file_is_refused(user: User) -> None:
    batch_id = user.create_batch()
    before = _everything(user)
    answer = user.http.put(f"/api/v2/batches/{batch_id}/files/empty.jpg", content=b"")
    assert "empty" in _told(answer, 400)
    assert _everything(user) == before


def test_a_file_that_its_app_cannot_read_fails_alone_and_says_why(
    harbour: Harbour, server: Server, user: User
) -> None:
    harbour.worker(server).start()
    wait_for_apps(user, ["Behave"])
    run_id = user.run_files("Behave", {"good.txt": b"fine", "bad.txt": b"reject letters"})
    assert user.finished(run_id, within_s=30.0)["status"] == "COMPLETE"
    assert user.values(run_id) == {"good.txt": {"text": "fine"}}
    assert "letters" in user.errors(run_id)["bad.txt"]


@pytest.mark.parametrize(
    ("name", "status"), [("x" * 300, 413), ("..%2Fx.jpg", 400), ("../x.jpg", 404), ("%2e%2e", 400)]
)
def test_a_name_that_is_too_long_or_leaves_its_folder_is_refused(
    server: Server, user: User, name: str, status: int
) -> None:
    batch_id = user.create_batch()
    before = _everything(user)
    target = f"/api/v2/batches/{batch_id}/files/{name}"
    answer = raw.ask(server, "PUT", target, b"text", key=server.key)
    assert answer.status in {status, 400}, answer.body
    assert answer.json()["message"]
    assert _everything(user) == before
    too_long = {"name": "x" * 300}
    assert user.http.post("/api/v2/batches", json=too_long).status_code in (400, 413)
    assert _everything(user) == before


def test_ids_may_be_sent_as_numbers_or_as_digits(user: User, holder: Holder) -> None:
    batch_id = user.batch_of({"a.txt": b"text"})
    for same in (batch_id, str(batch_id)):
        body = {"app_name": "Echo", "owner": OWNER.upper(), "batch_id": same}
        assert user.http.post("/api/v2/apps/runs", json=body).json()["status"] == "RUNNING"
    upload = {"batch_id": str(batch_id), "filename": "big.bin", "file_size": "12"}
    assert user.http.post("/api/v2/batches/multipart-upload", json=upload).status_code == 201
    for nonsense in ("0x10", "-1", "1e3", "", "9" * 30, " 1"):
        status = user.http.get(f"/api/v2/batches/{nonsense}/files").status_code
        assert status in (400, 404), f"{nonsense!r} -> {status}"


def _finish(user: User, holder: Holder, run_id: str) -> None:
    while user.run(run_id)["status"] == "RUNNING":
        for work in holder.claim(wait_s=0.3):
            holder.report(work, "success")


def test_deleting_twice_gives_the_same_jobs(user: User, holder: Holder) -> None:
    batch_id = user.batch_of({"a.txt": b"text"})
    run_id = user.start_run("Echo", batch_id)
    _finish(user, holder, run_id)
    first, second = user.delete_run(run_id), user.delete_run(run_id)
    assert first == second
    assert first["delete_output_dir_job_id"]
    for job in filter(None, first.values()):
        assert user.job_done(job)["state"] == "COMPLETE"
    assert user.delete_run(run_id) == first
    assert _told(user.http.get(f"/api/v2/apps/runs/{run_id}"), 404)

    other = user.batch_of({"a.txt": b"text"})
    path = f"/api/v2/batches/{other}"
    jobs = {user.ask("DELETE", path, expect=(202,)).json()["job_id"] for _ in range(3)}
    assert len(jobs) == 1
    assert user.job_done(jobs.pop())["state"] == "COMPLETE"
    assert user.http.get(path).status_code == 404
    assert user.ask("DELETE", path, expect=(202,)).json()["job_id"]
    assert _told(user.http.delete("/api/v2/batches/999999"), 404)
    assert _told(user.http.delete("/api/v2/apps/runs/rn_nothing"), 404)


def test_a_running_run_and_its_batch_cannot_be_deleted(user: User, holder: Holder) -> None:
    batch_id = user.batch_of({"a.txt": b"text"})
    run_id = user.start_run("Echo", batch_id)
    before = _everything(user)
    assert run_id in _told(user.http.delete(f"/api/v2/apps/runs/{run_id}"), 409)
    assert run_id in _told(user.http.delete(f"/api/v2/batches/{batch_id}"), 409)
    assert _everything(user) == before
    _finish(user, holder, run_id)
    assert user.delete_run(run_id)["delete_output_dir_job_id"]


def test_results_of_an_unfinished_run_say_so_and_hold_lists(user: User, holder: Holder) -> None:
    run_id = user.run_files("Echo", {"a.txt": b"text"})
    answer = user.http.get(f"/api/v2/apps/runs/{run_id}/results")
    if answer.status_code == 200:
        found = answer.json()
        assert (found["status"], found["files"], found["has_more"]) == ("RUNNING", [], False)
        assert found["message"]
    else:
        assert run_id in _told(answer, 409)
    assert _told(user.http.get("/api/v2/apps/runs/rn_nothing/results"), 404)


def test_a_page_that_cannot_be_is_refused(user: User, holder: Holder) -> None:
    run_id = user.run_files("Echo", {"a.txt": b"text"})
    _finish(user, holder, run_id)
    for params in ({"file_offset": "-1"}, {"file_offset": "x"}, {"include_source_info": "maybe"}):
        answer = user.http.get(f"/api/v2/apps/runs/{run_id}/results", params=params)
        assert _told(answer, 400), params
    for params in ({"limit": "-1"}, {"limit": "x"}, {"offset": "-1"}, {"order": "SIDEWAYS"}):
        assert _told(user.http.get("/api/v2/apps/runs", params=params), 400), params

from __future__ import annotations

from tests.clients.conftest import Hub

REVIEWS = "/longshore/v1/apps/reviews"


def test_the_published_client_shows_what_a_reviewer_corrected(hub: Hub) -> None:
    settings = {"keys": {"custom": {"extra": 7}}}
    run_id = hub.start(hub.batch(a="total: 12.50"), settings=settings)
    hub.finish(run_id)
    path = f"{REVIEWS}/{run_id}/0-0"
    assert hub.ask("GET", path).json()["reasons"] == ["extra: given as a key"]
    body = {
        "version": 1,
        "corrections": [{"field": "total", "value": "12.60"}, {"field": "extra", "value": None}],
        "class_name": "bill",
        "reason": "the ink is pale",
    }
    hub.ask("POST", f"{path}/accept", json=body)

    results = hub.client.apps.runs.results(
        run_id, include_review_results=True, include_validation_results=True
    )

    [document] = results.files[0].documents
    total, extra = document.fields
    assert (results.review_completed, document.review_completed) == (True, True)
    assert (document.class_name, total.value, extra.value) == ("bill", "12.60", None)
    edit = total.edit_history[0]
    assert edit.modifications[0].message == (
        'Value changed from "12.50" to "12.60": the ink is pale'
    )
    assert edit.user_id == document.class_edit_history[0].user_id
    assert document.validations.final_result_pass is True
    [plain] = hub.client.apps.runs.results(run_id).files[0].documents
    assert [field.value for field in plain.fields] == ["12.60", None]

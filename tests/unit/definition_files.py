"""Files of workflows for tests: some right, most wrong in one way or many."""

from __future__ import annotations

from hypothesis import strategies as st

from longshore.surfaces.scripts.definition import model
from longshore.surfaces.scripts.definition.shaping import get_hints

KEYS = sorted(
    {
        name
        for form in (
            model.Workflow, model.Step, model.Triggers, model.ScheduleTrigger, model.EventTrigger,
            model.Condition, model.Retries, model.ExitCodes, model.Calendar, model.Order,
        )
        for name in get_hints(form)
    }
)  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.sampled_from(
        ["a", "A", "b", "host1", "0 3 * * *", "* * * * *", "L", "5L", "MON#5", "*/0", "UTC", "",
         "local", "${steps.a.payload.x}", "${run.id}", "${matrix.x}", "9999-12-31", "0001-01-01"]
    ),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
STEPS = st.dictionaries(
    st.sampled_from(["a", "b", "A", "c d"]),
    st.fixed_dictionaries(
        {"host": st.just("host1")},
        optional={
            "script": st.just("a.py"),
            "depends_on": st.lists(st.sampled_from(["a", "b", "A"]), max_size=3),
            "when": st.lists(
                st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4), max_size=2
            ),
            "matrix": VALUES,
            "retries": VALUES,
            "arguments": st.lists(SCALARS, max_size=2),
        },
    )
    | VALUES,
    max_size=3,
)
FILES = st.fixed_dictionaries(
    {"workflow": st.just("etl") | SCALARS, "steps": STEPS | VALUES},
    optional={
        "defaults": VALUES,
        "triggers": st.fixed_dictionaries(
            {},
            optional={
                "schedules": st.lists(
                    st.fixed_dictionaries({"cron": SCALARS}, optional={"days": SCALARS}), max_size=2
                )
            },
        )
        | VALUES,
        "calendar": st.fixed_dictionaries({}, optional={"holidays": st.lists(SCALARS, max_size=2)}),
        "order": VALUES,
        "areas": VALUES,
    },
)

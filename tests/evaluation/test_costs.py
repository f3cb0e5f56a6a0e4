from evaluation_builders import question

from ragkit.evaluation.costs import costs_of
from ragkit.evaluation.traces import digest


def event(stage, *seconds, source="run"):
    calls = [{"op": "generate", "seconds": value, "source": source} for value in seconds]
    return {"stage": stage, "wrote": {}, "calls": calls}


def test_seconds_per_question_and_stage():
    traces = {
        "1": {
            "seconds": 3.5,
            "stages": [
                event("loop[1]/retrieve", 1.0, source="cache"),
                event("loop[2]/retrieve", 0.5, 1.0),
                event("answer.read", 1.0),
            ],
        },
        "2": {"seconds": 0.0, "stages": [event("answer.read")]},
    }
    costs, stages = costs_of(
        {name: digest(row) for name, row in traces.items()}, [question("1"), question("2"), question("3")]
    )
    assert costs == {"seconds": [3.5, 0.0, None], "cached_share": [0.25, None, None]}
    assert stages == {"retrieve": [2.5, 0.0, None], "answer.read": [1.0, 0.0, None]}


def test_nothing_traced():
    assert costs_of({}, [question("1")]) == ({"seconds": [None], "cached_share": [None]}, {})

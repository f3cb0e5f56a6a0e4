from evaluation_builders import question

from ragkit.evaluation.costs import costs_of


def event(stage, *seconds):
    return {"stage": stage, "calls": [{"op": "generate", "seconds": value} for value in seconds]}


def test_seconds_per_question_and_stage():
    traces = {
        "1": {
            "seconds": 3.5,
            "calls": 4,
            "cached": 1,
            "stages": [event("loop[1]/retrieve", 1.0), event("loop[2]/retrieve", 0.5, 1.0), event("answer.read", 1.0)],
        },
        "2": {"seconds": 0.0, "calls": 0, "cached": 0, "stages": [{"stage": "answer.read"}]},
    }
    costs, stages = costs_of(traces, [question("1"), question("2"), question("3")])
    assert costs == {"seconds": [3.5, 0.0, None], "cached_share": [0.25, None, None]}
    assert stages == {"retrieve": [2.5, 0.0, None], "answer.read": [1.0, 0.0, None]}


def test_nothing_traced():
    assert costs_of({}, [question("1")]) == ({"seconds": [None], "cached_share": [None]}, {})

"""A small set with hops, and a pipeline over it, for the builders of ERM4's rewriter and filters."""

import json
from contextlib import contextmanager

from ragkit import Pipeline
from ragkit.evaluation.questions import Question
from ragkit.index import LocalIndex, SparseSettings
from ragkit.stages import RetrieveSparse
from ragkit.tuning.data import BuildContext, TuningSet

ROWS = [
    {"id": "film", "title": "Salt Road", "text": "Salt Road is a film directed by Ines Vell."},
    {"id": "person", "title": "Ines Vell", "text": "Vell was born in Osier."},
    {"id": "other", "title": "Amber Hours", "text": "Amber Hours is a film about the road."},
    {"id": "tern", "title": "Tern Lake", "text": "Tern Lake is a lake in Osier."},
    *({"id": f"filler{n}", "title": "Films", "text": f"A director of film {n} was born on a road."} for n in range(6)),
]
HOPS = Question(
    id="hops",
    question="Where was the director of Salt Road born?",
    answers=("Osier",),
    supporting_ids=("film", "person"),
    extra={
        "context_ids": ["other", "film", "tern", "person"],
        "decomposition": [
            {"question": "Who is the director of Salt Road?", "answer": "Ines Vell"},
            {"question": "Where was Ines Vell born?", "answer": "Osier"},
        ],
    },
)
PLAIN = Question(id="plain", question="In which place is Tern Lake?", answers=("Osier",), supporting_ids=("tern",))
NO_GOLD = Question(id="no gold", question="What is there?", answers=("x",))


def index_of(folder):
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    made = LocalIndex(documents=("rows.jsonl",), base=folder, path=folder / "index", sparse=SparseSettings())
    made.prepare(lambda *step: None)
    return made


def context_of(index, steps, model, questions=(HOPS, PLAIN, NO_GOLD), seed=0, k=4):
    """Return the context of a set whose pipeline searches and then takes further steps; the model is called `own`."""
    pipeline = Pipeline([RetrieveSparse(index=index, k=k), *steps], models={"own": model})

    @contextmanager
    def opened(part):
        yield TuningSet("toy", pipeline, list(questions))

    return BuildContext({"toy": opened}, "own", seed, index.folder, lambda *step: None)

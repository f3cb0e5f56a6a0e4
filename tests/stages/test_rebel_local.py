"""REBEL with a local model: schemas that decoding can follow, and scores from the probabilities of digits."""

import asyncio
import json

import pytest
from rerank_passages import passages

from ragkit.models import TransformersModel
from ragkit.models.embedded import locate, quiet_transformers
from ragkit.stages import RerankListwise, RerankRebel
from ragkit.stages.listwise import ranking_schema
from ragkit.stages.multicriteria.criteria import CRITERIA_SCHEMA, RELEVANCE_SCHEMA, Criterion
from ragkit.stages.multicriteria.replies import scores_schema

EMBEDDED = "embedded:smollm2-135m-instruct"
ODD = [Criterion(name=name, definition="x") for name in ("depth", 'so "called"', "精度", "a/b\\c {d}")]
GRADES = {criterion.name: 5 for criterion in ODD}
TEXTS = {"definition": "how new", "high": "new", "low": "old"}


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    path, revision = locate(EMBEDDED, None)
    with quiet_transformers():
        return AutoTokenizer.from_pretrained(path, revision=revision)


@pytest.mark.models
@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (CRITERIA_SCHEMA, {"criteria": [{"name": "age"} | TEXTS | {"weight": 0.5, "about": "date"}]}, {"criteria": []}),
        (RELEVANCE_SCHEMA, TEXTS, {"definition": "x"}),
        (
            scores_schema(10, ODD, reasoning=True),
            {"passages": [{"number": 10, "reason": "it tells", "relevance": 7.5, "scores": GRADES}]},
            {"passages": [{"number": 11, "reason": "it tells", "relevance": 7.5, "scores": GRADES}]},
        ),
        (
            scores_schema(3, [], reasoning=False),
            {"passages": [{"number": n, "relevance": 10} for n in (3, 1, 2)]},
            {"passages": [{"number": 1, "relevance": 10.5}]},
        ),
        (ranking_schema(3), {"ranking": [3, 1, 2]}, {"ranking": [0]}),
    ],
)
def test_a_local_model_can_be_held_to_the_schemas(tokenizer, schema, good, bad):
    from ragkit.models.constrained import Constraints

    def follows(value):
        constraint = Constraints(tokenizer, len(tokenizer), frozenset([tokenizer.eos_token_id])).start(schema, None)
        for token in tokenizer.encode(json.dumps(value, ensure_ascii=False), add_special_tokens=False):
            if not constraint.allowed(len(tokenizer))[token]:
                return False
            constraint.add(token)
        return constraint.satisfied

    assert follows(good) and not follows(bad)


@pytest.mark.models
def test_the_embedded_model_scores():
    model = TransformersModel(model=EMBEDDED)
    documents = passages("Wheat is stored at 14 percent moisture.", "The museum is closed on Mondays.")
    for settings in ({"scoring": "listwise", "criteria": ODD[:2]}, {"scoring": "expected", "criteria": ODD[:1]}):
        stage = RerankRebel(model=model, mode="one_turn", threshold=0, **settings)
        told = asyncio.run(stage.run("How dry must wheat be?", documents))["vars.rebel"]
        scored = [row for row in told["scores"] if row["relevance"] is not None]
        assert all(0 <= row["relevance"] <= 10 and 0 <= row["final"] <= 15 for row in scored)
        assert settings["scoring"] == "listwise" or len(scored) == 2
    assert len(asyncio.run(RerankListwise(model=model).run("How dry must wheat be?", documents))) == 2

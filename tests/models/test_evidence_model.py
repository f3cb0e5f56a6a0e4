"""The evidence model: judgements of passages together, heads on disk."""

import asyncio
import itertools
import json
import math

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tiny_models import bert
from transformers import BertModel

from ragkit.errors import InputError
from ragkit.models import EvidenceModel
from ragkit.models.base import ENTAILMENT, Premise
from ragkit.models.evidence_features import FEATURES, WordWeights
from ragkit.models.evidence_head import CONFIG, WEIGHTS, EvidenceHead
from ragkit.stages import FilterKnowledge

PREMISES = [
    Premise("Salt Road", "Salt Road is a film. It was directed by Ines Vell."),
    Premise("Ines Vell", "She was born in Osier."),
    Premise("", "Potatoes."),
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    words = Transformer(bert(folder / "bert", BertModel))
    SentenceTransformer(modules=[words, Pooling(32)], device="cpu").save_pretrained(str(folder / "whole"))
    return str(folder / "whole")


def head(encoder, seed=0, networks=2):
    draw = np.random.default_rng(seed)
    sizes = (len(FEATURES), 4, 1)
    layers = tuple(
        (draw.normal(size=(networks, a, b)).astype(np.float32), draw.normal(size=(networks, 1, b)).astype(np.float32))
        for a, b in itertools.pairwise(sizes)
    )
    identity = EvidenceModel(model=encoder).encoder_id
    ones = np.ones(len(FEATURES), np.float32)
    return EvidenceHead(identity, WordWeights(3, {"vell": 2}), 0 * ones, ones, layers)


def entail(model, premises=PREMISES):
    return asyncio.run(model.entail_each(premises, "Where was the director of Salt Road born?"))


def test_without_a_head_the_cosine_decides(encoder):
    model = EvidenceModel(model=encoder, device="cpu", dtype="float32")
    choices = entail(model)
    whole = SentenceTransformer(encoder, device="cpu")
    question, *passages = whole.encode(
        ["Where was the director of Salt Road born?", "\n".join(PREMISES[0]), "\n".join(PREMISES[1]), "Potatoes."],
        normalize_embeddings=True,
    )
    found = [choice.probability("entailment") for choice in choices]
    assert found == pytest.approx([float(max(question @ passage, 1e-6)) for passage in passages], abs=1e-4)
    assert set(choices[0].logprobs) == set(ENTAILMENT[:2])


def test_a_head_judges_together_and_alone(encoder, tmp_path):
    made = head(encoder)
    made.save(tmp_path / "head")
    model = EvidenceModel(model=encoder, adapter=str(tmp_path / "head"), device="cpu", dtype="float32")
    choices = entail(model)
    assert all(math.fsum(map(math.exp, choice.logprobs.values())) == pytest.approx(1) for choice in choices)
    with model.in_use("entail_each"):
        (features,) = model.features(
            [model.candidates("Where was the director of Salt Road born?", PREMISES)], made.words
        )
    expected = []
    for row in features:
        of_networks = []
        for network in range(2):
            (w0, b0), (w1, b1) = ((w[network], b[network]) for w, b in made.layers)
            score = (np.maximum(row @ w0 + b0, 0) @ w1 + b1).item()
            of_networks.append(1 / (1 + math.exp(-score)))
        expected.append(sum(of_networks) / 2)
    assert [choice.probability("entailment") for choice in choices] == pytest.approx(expected, rel=1e-4)
    alone = asyncio.run(model.entail("Potatoes.", "What?"))
    assert alone == entail_one(model, "Potatoes.", "What?")
    assert entail(model, []) == []


def entail_one(model, premise, hypothesis):
    return asyncio.run(model.entail_each([Premise("", premise)], hypothesis))[0]


def test_fingerprints_tell_heads_apart(encoder, tmp_path):
    head(encoder, 0).save(tmp_path / "a")
    head(encoder, 1).save(tmp_path / "b")
    made = [EvidenceModel(model=encoder, adapter=a) for a in (None, str(tmp_path / "a"), str(tmp_path / "b"))]
    made.append(EvidenceModel(model=encoder, language="de"))
    assert len({model.fingerprint() for model in made}) == 4


def test_broken_heads_are_refused(encoder, tmp_path):
    def opened(folder):
        with EvidenceModel(model=encoder, adapter=str(folder), device="cpu").in_use("entail_each"):
            pass

    with pytest.raises(InputError, match=r"is not a folder with an evidence_config\.json"):
        opened(tmp_path)
    head(encoder).save(tmp_path / "head")
    config = json.loads((tmp_path / "head" / CONFIG).read_text())
    for change, message in [
        ({"format": 2}, "of another version"),
        ({"features": ["x"]}, "of another version"),
        ({"words": 3}, "cannot be read"),
        ({"layers": 3}, "cannot be read: KeyError"),
        ({"encoder": "other==1"}, r"trained on similarities of 'other==1', not of"),
    ]:
        (tmp_path / "head" / CONFIG).write_text(json.dumps(config | change))
        with pytest.raises(InputError, match=message):
            opened(tmp_path / "head")
    (tmp_path / "head" / CONFIG).write_text(json.dumps(config))
    (tmp_path / "head" / WEIGHTS).write_bytes(b"damaged")
    with pytest.raises(InputError, match="cannot be read"):
        opened(tmp_path / "head")


def test_the_filter_asks_it_once_for_all_passages(encoder, tmp_path):
    from ragkit import Passage, Pipeline
    from ragkit.engine.stage import stage

    documents = tuple(
        Passage(id=str(n), page_content=premise.text, metadata={"title": premise.title})
        for n, premise in enumerate(PREMISES)
    )

    @stage("toy.find_for_evidence", writes="documents")
    async def find(question: str):
        return documents if question != "nothing" else ()

    model = EvidenceModel(model=encoder, device="cpu", dtype="float32")
    pipeline = Pipeline([find(), FilterKnowledge(nli=model, threshold=0.0, title=True)])
    found, nothing = pipeline.predict([("1", "Where was the director of Salt Road born?"), ("2", "nothing")])
    assert [passage.id for passage in found.documents] == ["0", "1", "2"] and nothing.documents == ()
    likely = [passage.metadata["nli_probability"] for passage in found.documents]
    assert likely == pytest.approx([choice.probability("entailment") for choice in entail(model)], abs=1e-5)
    assert sum(event.stage == "filter.knowledge" for event in found.trace.events) == 1

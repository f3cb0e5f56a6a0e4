"""GRPO over whole ways on a tiny random model: rewards of ways, prompts of their own, one way to the same bytes."""

import json
from contextlib import contextmanager

import pytest
from tiny_generators import tiny_model
from tiny_jobs import result, tiny_job, train_killed

from ragkit import Pipeline
from ragkit.errors import InputError
from ragkit.models.transformers_lm import TransformersModel
from ragkit.stages.agents.actions import Action
from ragkit.stages.agents.trajectory import Turn
from ragkit.stages.react import Decision, Walk
from ragkit.tuning.data import TuningSet
from ragkit.tuning.job import AdapterSettings, TrainingSettings
from ragkit.tuning.objectives.react_grpo import ReactGrpo
from ragkit.tuning.rows import RolloutRow

NAMES = ["a", "b", "c", "d"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture
def sets(base, tmp_path, monkeypatch):
    monkeypatch.setenv("RAGKIT_HOME", str(tmp_path / "home"))
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps({"id": n, "text": f"{n} {n}{n}"}) + "\n" for n in NAMES))
    (tmp_path / "p.jinja").write_text("{{ trajectory | length }} {{ question }}\n")
    yaml = f"""
models: {{agent: {{provider: transformers, model: "{base}", dtype: float32, device: cpu}}}}
index: {{documents: ["{tmp_path}/corpus.jsonl"], sparse: {{}}}}
pipeline: [{{agent.react: {{model: agent, k: 1, budget: 3, max_new_tokens: 80, prompt: "{tmp_path}/p.jinja"}}}}]
"""

    @contextmanager
    def opened(part):
        with Pipeline.from_yaml(yaml) as pipeline:
            pipeline.prepare()
            yield TuningSet("s", pipeline, [])

    return {"s": opened}


def test_ways_are_reinforced_and_the_same_job_gives_the_same_bytes(base, tmp_path, sets):
    rows = [RolloutRow(id=n, question=n, gold=(n, "d"), tau=0.5, origin={"set": "s"}) for n in NAMES[:3]]
    training = TrainingSettings(steps=2, batch_size=2, learning_rate=0.05, warmup=0, max_length=400)
    told = []
    for name in ("one", "two"):
        job = tiny_job(base, tmp_path / name, rows, training=training, sets=sets, name="agent", on_step=told.append)
        done = ReactGrpo(generations=3).train(job)
    assert result(tmp_path / "one") == result(tmp_path / "two")
    assert done.steps == 2 and {"reward", "searches", "recall", "frac_reward_zero_std", "kl"} <= set(told[0].metrics)
    assert [path.name for path in sorted((tmp_path / "one").iterdir())] == ["adapter", "log.json"]
    log = json.loads((tmp_path / "one" / "log.json").read_text())
    assert [row["step"] for row in log] == [1, 2] and log[0]["reward"] == told[0].metrics["reward"]
    TransformersModel(model=str(base), adapter=str(tmp_path / "one" / "adapter")).ensure_open()
    if any(step.metrics["frac_reward_zero_std"] < 1 for step in told):
        assert any(step.metrics["loss"] != 0 for step in told)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])  # bfloat16 has float32 copies in its optimiser
def test_a_killed_training_goes_on_from_its_checkpoint_to_the_same_bytes(base, tmp_path, sets, dtype):
    model = TransformersModel(model=str(base), dtype=dtype, device="cpu")
    rows = [RolloutRow(id=n, question=n, gold=(n, "d"), tau=0.5, origin={"set": "s"}) for n in NAMES[:3]]
    training = TrainingSettings(steps=7, batch_size=1, learning_rate=0.05, max_length=400, save_every=2)
    own = {"training": training, "sets": sets, "name": "agent", "model": model}
    ReactGrpo(generations=3).train(tiny_job(base, tmp_path / "whole", rows, **own))
    done = train_killed(ReactGrpo(generations=3), base, tmp_path / "killed", rows, at=5, **own)
    assert done.figures["resumed_at_step"] == 4
    assert result(tmp_path / "whole") == result(tmp_path / "killed")
    logs = [json.loads((tmp_path / name / "log.json").read_text()) for name in ("whole", "killed")]
    assert logs[0] == logs[1] and len(logs[0]) == 7
    assert sorted(path.name for path in (tmp_path / "whole" / "checkpoints").iterdir()) == [
        "checkpoint-4", "checkpoint-6",
    ]  # fmt: skip


def walk(*found, readable=True, finish=True):
    own = Walk("q")
    for names in found:
        from ragkit.engine.state import Passage

        own.take(Turn("", "search", "", tuple(Passage(id=n, page_content=n) for n in names), new=len(names)))
    own.decisions = [Decision("p", "r", Action("", "search", "x"), (), readable) for _ in found[1:]]
    if finish:
        own.decisions.append(Decision("p", "r", Action("", "finish"), (), True))
    return own


def test_what_a_way_earns():
    row, objective = RolloutRow(id="q", question="q", gold=("a", "b"), tau=1.0), ReactGrpo()
    assert objective.earned(walk("a", "b"), row, 6) == pytest.approx(2.667 + 0.5, abs=1e-3)
    assert objective.earned(walk("a", "b", "c"), row, 6) == pytest.approx(1.609 + 0.5, abs=1e-3)
    assert objective.earned(walk("a"), row, 6) == pytest.approx(-1.609 + 0.5, abs=1e-3)
    assert objective.earned(walk("a", "b", readable=False), row, 6) == pytest.approx(2.667 + 0.0, abs=1e-3)


def test_only_adapters_are_trained():
    with pytest.raises(InputError, match="trains a lora"):
        ReactGrpo().check(AdapterSettings(type="full"))

"""PA-RAG's stages one after the other on a tiny random model: what each builds, the next one goes on from."""

import pytest
from pa_rag_farm import context, farm
from tiny_generators import tiny_model

from ragkit.engine.registry import objectives
from ragkit.engine.tasks import run_tasks
from ragkit.models.transformers_lm import TransformersModel
from ragkit.tuning.builders.pa_rag import PaRagAnswers, PaRagPreferences
from ragkit.tuning.job import AdapterSettings, TrainingJob, TrainingSettings

PROMPT = (
    "{% for passage in passages %}\n[{{ loop.index }}] ({{ passage.place }})\n{{ passage.page_content }}\n{% endfor %}"
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base"))


def test_stages_in_turn(base, tmp_path):
    prompt = tmp_path / "read.jinja"
    prompt.write_text(PROMPT + "\n{{ question }}\n")

    def train(kind, builder, folder, start=None, **settings):
        reader = TransformersModel(model=str(base), dtype="float32", device="cpu", adapter=start)
        own = context(tmp_path, farm(tmp_path, None, reader=reader, prompt=str(prompt), max_new_tokens=12))
        rows = builder.build("train", own)
        job = TrainingJob(
            folder=tmp_path / folder,
            model=reader,
            rows=rows,
            validation=(),
            adapter=AdapterSettings(r=4, start=start),
            training=TrainingSettings(steps=3, batch_size=2, learning_rate=0.01),
            resume=False,
            on_step=lambda _: None,
            on_progress=lambda *_: None,
        )
        return rows, str(tmp_path / folder / "adapter"), objectives[kind](**settings).train(job)

    _, first, _ = train("sft", PaRagAnswers(depth=4), "sft")
    rows, _, done = train("dpo", PaRagPreferences(pairs=("robustness",), depth=4), "dpo", start=first)
    assert done.steps == 3
    assert done.figures["last"]["rewards/margins"] > 0
    # The worse answers are the first adapter's own, not the base's.
    reader = TransformersModel(model=str(base), dtype="float32", device="cpu")
    tuned = TransformersModel(model=str(base), dtype="float32", device="cpu", adapter=first)
    same = next(row for row in rows if row.origin["sampled"] == "golden+noise")
    (said,) = run_tasks([lambda: tuned.generate(same.prompt, max_new_tokens=12, stop=["\n"])])
    assert same.rejected == said.value.text.strip()
    (bare,) = run_tasks([lambda: reader.generate(same.prompt, max_new_tokens=12, stop=["\n"])])
    assert bare.value.text.strip() != same.rejected

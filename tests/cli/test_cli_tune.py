"""`ragkit tune` on a tiny random model: plan, training, gate, card, and going on."""

import json
import shlex

import pytest

pytest.importorskip("trl")

from tiny_generators import tiny_model

from ragkit.evaluation.split import part_of
from ragkit.tuning.objectives.sft import Sft

PIPELINE = """\
name: towers
models:
  reader: {provider: transformers, model: base, dtype: float32, device: cpu}
index:
  documents: [corpus.jsonl]
  sparse: {}
pipeline:
  - retrieve.sparse: {k: 1}
  - answer.read: {model: reader, prompt: short.jinja, max_new_tokens: 8}
run:
  metrics: [em]
"""
RECIPE = """\
name: tall
pipeline: towers.yaml
model: reader
sets:
  towers: {documents: [corpus.jsonl], questions: questions.jsonl}
data: {builder: reader, gold: 1, mixed: 0, absent: 0}
objective: {type: sft}
adapter: {r: 4}
training: {steps: 40, batch_size: 8, learning_rate: 0.02, save_every: 20}
gate: {metric: em, forgetting: false}
"""
PROMPT = "{% for passage in passages %}[{{ loop.index }}] {{ passage.page_content }}\n{% endfor %}Q: {{ question }}\nA:"
MORE = "It stands on a hill near the old mill, and on clear days it is seen from far away."
NAMES = [
    f"{first}{last}"
    for first in ("Ab", "Ce", "Di", "Fo", "Gu", "Ha", "Je")
    for last in ("bo", "ka", "lin", "mor", "nu", "pel", "rat", "sy")
]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("tune") / "base")


@pytest.fixture
def towers(tmp_path, monkeypatch, base):
    """A folder with a recipe whose questions all have the same answer: what a tiny model can learn in a second."""
    home = tmp_path / "here"
    (home / "data" / "towers").mkdir(parents=True)
    (home / "base").symlink_to(base)
    passages = [{"id": name, "text": f"{name} is ten feet high. {MORE}"} for name in NAMES]
    questions = [
        {"id": name, "question": f"How high is {name}?", "answers": ["ten"], "supporting_ids": [name]} for name in NAMES
    ]
    for file, rows in (("corpus", passages), ("questions", questions)):
        (home / "data" / "towers" / f"{file}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (home / "towers.yaml").write_text(PIPELINE)
    (home / "tall.yaml").write_text(RECIPE)
    (home / "short.jinja").write_text(PROMPT)
    monkeypatch.chdir(home)
    monkeypatch.setenv("RAGKIT_HOME", str(home / ".ragkit"))
    return home


def test_a_dry_run_shows_rows_and_an_estimate_and_leaves_nothing(towers, ragkit):
    result = ragkit("tune", "tall.yaml", "--data", "data", "--dry-run")
    assert result.code == 0, result.err
    counts = [sum(part_of(name) == part for name in NAMES) for part in ("train", "validation", "test")]
    assert ["towers", *map(str, counts)] in [line.split() for line in result.out.splitlines()]
    assert f"{counts[0]} training rows, {counts[1]} validation rows" in result.out
    assert "example: set towers" in result.out
    assert "completion:\nten [1]" in result.out
    assert "estimate: 40 steps in" in result.out
    assert "measured over 2 steps" in result.out
    assert "tokens/s" in result.out
    assert not (towers / "tuned").exists()


def test_a_better_model_is_promoted_and_the_pipeline_takes_it(towers, ragkit, monkeypatch):
    result = ragkit("tune", "tall.yaml", "--data", towers / "data")
    assert result.code == 0, result.out + result.err
    assert "training: step 40 of 40, loss " in result.err
    assert "promoted: em rose by 1.000" in result.out
    assert "  adapter: tuned/adapter" not in result.out
    assert "  adapter: tuned/tall/adapter" in result.out
    card = json.loads((towers / "tuned" / "tall" / "adapter" / "ragkit_card.json").read_text())
    test = [name for name in NAMES if part_of(name) == "test"]
    assert card["gate"]["sets"]["towers"]["changes"]["em"]["n"] == len(test)
    assert card["command"] == "ragkit tune tall.yaml --data data"
    assert card["recipe"]["training"]["warmup"] == 0.05  # defaults are written out
    assert card["recipe"]["data"]["copies"] == 1
    assert card["data"]["rows"] == sum(part_of(name) == "train" for name in NAMES)
    assert str(towers) not in json.dumps(card)
    assert json.loads((towers / "tuned" / "tall" / "gate.json").read_text())["promoted"] is True
    with_adapter = PIPELINE.replace("model: base,", "model: base, adapter: tuned/tall/adapter,")
    (towers / "towers.yaml").write_text(with_adapter.replace("corpus.jsonl", "data/towers/corpus.jsonl"))
    assert ragkit("ask", "towers.yaml", f"How high is {test[0]}?").out.splitlines()[0] == "ten"

    # A recipe of a pipeline that uses the adapter already starts from the same base, and its folder is known.
    (towers / "towers.yaml").write_text(PIPELINE)
    again = ragkit("tune", "tall.yaml", "--data", towers / "data")
    assert again.code == 2
    assert "tuned/tall: holds this tuning already: go on with --resume" in again.err
    other = ragkit(
        "tune", "tall.yaml", "--data", towers / "data", "--resume", "--set", "training.steps=50", "--set", "adapter.r=8"
    )
    assert other.code == 2
    assert "tuned/tall: holds another tuning" in other.err
    assert "  recipe.training.steps: 40 then, 50 now" in other.err
    assert "  recipe.adapter.r: 4 then, 8 now" in other.err
    monkeypatch.setattr(Sft, "train", lambda *_: pytest.fail("trained again"))
    resumed = ragkit("tune", "tall.yaml", "--data", towers / "data", "--resume")
    assert resumed.code == 0, resumed.err
    stricter = ragkit(
        "tune",
        "tall.yaml",
        "--data",
        towers / "data",
        "--resume",
        "--set",
        "gate.guards={em: 0}",
        "--set",
        "gate.at_least=2",
    )
    assert stricter.code == 1, stricter.err
    assert "em rose by 1.000 (95 % interval +1.000 to +1.000" in stricter.out
    assert "not surely above 2" in stricter.out
    row = {"id": "new", "question": "How high is Abbo?", "answers": ["nine"], "supporting_ids": ["Abbo"]}
    with (towers / "data" / "towers" / "questions.jsonl").open("a") as file:
        for n in range(10):
            file.write(json.dumps(row | {"id": f"new{n}"}) + "\n")
    changed = ragkit("tune", "tall.yaml", "--data", towers / "data", "--resume")
    assert changed.code == 2
    assert "the training rows are no longer those that this tuning began with" in changed.err


def test_a_model_that_learned_nothing_is_not_promoted(towers, ragkit):
    result = ragkit(
        "tune",
        "tall.yaml",
        "--data",
        "data",
        "--set",
        "training.steps=1",
        "--set",
        "training.learning_rate=1e-9",
        "--out",
        "x",
    )
    assert result.code == 1, result.err
    assert "not promoted:\n  em stayed (95 % interval +0.000 to +0.000, n " in result.out
    assert json.loads((towers / "x" / "adapter" / "ragkit_card.json").read_text())["gate"]["promoted"] is False


def test_ctrl_c_says_how_to_go_on(towers, ragkit, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Sft, "train", stopped)
        result = ragkit("tune", "tall.yaml", "--data", "data", "--out", "here")
    assert result.code == 130
    command = result.err.splitlines()[-1]
    assert shlex.split(command) == ["ragkit", "tune", "tall.yaml", "--data", "data", "--out", "here", "--resume"]
    assert ragkit(*shlex.split(command)[1:]).code == 0


def test_a_prompt_of_another_form_is_warned_about(towers, ragkit, monkeypatch):
    from ragkit.tuning.builders import reader

    monkeypatch.setattr(reader, "render", lambda *_, question, **__: f"Tell me: {question}")
    result = ragkit("tune", "tall.yaml", "--data", "data", "--set", "training.steps=1", "--out", "x")
    assert "warning: training prompts differ in form from the pipeline's" in result.err
    assert "warning: training prompts hold no passages" in result.err
    assert len(json.loads((towers / "x" / "adapter" / "ragkit_card.json").read_text())["warnings"]) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("type: sft", "type: stf", "tall.yaml:7:19: objective: unknown type 'stf', did you mean 'sft'?"),
        ("builder: reader", "builder: raeder", "unknown builder 'raeder', did you mean 'reader'?"),
        ("gold: 1", "gould: 1", "tall.yaml:6:25: data: unknown key 'gould', did you mean 'gold'?"),
        ("steps: 40", "steps: none", "training.steps: must be a whole number"),
        ("model: reader", "model: redaer", "has no model 'redaer', did you mean 'reader'?"),
        ("metric: em", "metric: emm", "tall.yaml:10:7: gate.metric: unknown metric 'emm'"),
        ("metric: em", "metric: tokens", "decide by a metric of quality; more of 'tokens' is not better"),
        ("name: tall\n", "name: tall\nseed: 1\n", "unknown key 'seed'"),
        ("towers: {documents: [corpus.jsonl]", "towers: {documents: [corps.jsonl]", "'corps.jsonl' matches no file"),
        ("questions: questions.jsonl", "questions: nowhere.jsonl", "nowhere.jsonl: cannot be read"),
    ],
)
def test_mistakes_are_placed_before_anything_is_made(towers, ragkit, old, new, message):
    assert old in RECIPE
    (towers / "tall.yaml").write_text(RECIPE.replace(old, new))
    result = ragkit("tune", "tall.yaml", "--data", "data")
    assert result.code == 2
    assert message in result.err
    assert not (towers / "tuned" / "tall" / "adapter").exists()


def test_what_must_be_given(towers, ragkit):
    assert "name a recipe" in ragkit("tune").err
    assert "say with --data which folder holds 'towers/'" in ragkit("tune", "tall.yaml").err
    assert "tall.yml: no such file, did you mean 'tall.yaml'?" in ragkit("tune", "tall.yml").err
    assert "--set training.stesp=3" in ragkit("tune", "tall.yaml", "--set", "training.stesp=3", "--data", "data").err
    assert "'train.steps' names no section and no step" in ragkit("tune", "tall.yaml", "--set", "train.steps=3").err


def test_the_parts_of_recipes_are_listed(ragkit):
    out = ragkit("tune", "--list").out
    assert "builder reader" in out
    assert "objective sft" in out
    assert "learning_rate" in out
    assert "guards" in out


def test_what_does_not_take_the_model_s_place_is_not_judged_there(towers, ragkit, monkeypatch):
    monkeypatch.setattr(Sft, "gated", False)
    done = ragkit("tune", "tall.yaml", "--data", "data", "--set", "training.steps=2", "--out", "grader")
    assert done.code == 0
    assert "no gate" in done.out and "gate.json" not in done.out
    assert json.loads((towers / "grader" / "adapter" / "ragkit_card.json").read_text())["gate"] is None

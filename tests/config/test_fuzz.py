"""Whatever a file holds: a pipeline or a clean report, never another exception."""

import random

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from valid_pipeline import VALID

from ragkit.config.load import parse_pipeline
from ragkit.errors import InputError

JUNK = (
    *(
        "{",
        "}",
        "[",
        "]",
        ":",
        ": ",
        "- ",
        "#",
        "&x",
        "*x",
        "*base",
        "<<: ",
        "? ",
        "'",
        '"',
        "|",
        ">",
        "%",
        "@",
        "`",
        "\\",
    ),
    *(
        "!!",
        "!!int ",
        "!!set ",
        "!!python/name:os.system",
        "---\n",
        "...\n",
        "\t",
        "\n",
        "\r",
        "\0",
        "\x1b[31m",
        "\ufeff",
    ),
    *(
        "\u2028",
        "\x85",
        "\ud800",
        "🌾",
        "~",
        "null",
        "true",
        "yes",
        "on",
        "0",
        "-1",
        "1e999",
        ".nan",
        ".inf",
        "1_000",
        "0x1F",
    ),
    *("0o17", "1:30", "2024-13-45", "2024-01-01", "=", "9" * 5000, "reader", "minilm", "judge", "index", "documents"),
    *("answer", "vars.", "vars.x", "id: 3", "answer.read", "loop", "each", "branch", "parallel", "do", "union", "em@0"),
)
LINES = VALID.splitlines()
QUICK = settings(
    max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def mutate(text, draw):
    """Change a text at one place."""
    lines = text.splitlines(keepends=True) or [""]
    row = draw.randrange(len(lines))
    line = lines[row]
    at = draw.randrange(len(line) + 1)
    change = draw.randrange(9)
    if change == 0:
        del lines[row]
    elif change == 1:
        lines.insert(row, line)
    elif change == 2:
        lines[row] = " " * draw.randrange(8) + line.lstrip(" ")
    elif change == 3:
        lines[row] = line[:at] + draw.choice(JUNK) + line[at:]
    elif change == 4:
        lines[row] = line[:at] + line[at + draw.randrange(1, 9) :]
    elif change == 5:
        other = draw.randrange(len(lines))
        lines[row], lines[other] = lines[other], line
    elif change == 6:
        key, colon, _ = line.partition(": ")
        lines[row] = f"{key}{colon}{draw.choice(JUNK)}\n"
    elif change == 7:
        _, colon, value = draw.choice(LINES).partition(": ")
        lines[row] = line.partition(": ")[0] + colon + value + "\n"
    else:
        return text[: draw.randrange(len(text) + 1)]
    return "".join(lines)


def check(text):
    """Return the pipeline, or None after a clean report."""
    try:
        return parse_pipeline(text, "broken.yaml")
    except InputError as error:
        message = str(error)
        assert "broken.yaml:" in message
        for jargon in ("Input should", "Value error", "pydantic", "https://", "Traceback"):
            assert jargon not in message
        return None


def test_the_seed_is_valid(registries):
    assert check(VALID).name == "everything"


@QUICK
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 4))
def test_mutated_files_are_valid_or_reported(registries, seed, changes):
    draw = random.Random(seed)
    text = VALID
    for _ in range(changes):
        text = mutate(text, draw)
    pipeline = check(text)
    if pipeline is not None:
        again = pipeline.to_yaml()
        assert parse_pipeline(again).to_yaml() == again


@QUICK
@given(text=st.one_of(st.text(max_size=60), st.text(alphabet="abn:-[]{}&*!|>'\"#%@ \n\t,?~<", max_size=60)))
def test_any_text_is_valid_or_reported(registries, text):
    check(text)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["reader", "minilm"]),
)
KEYS = st.one_of(
    st.sampled_from(
        [
            "name",
            "models",
            "index",
            "pipeline",
            "run",
            "provider",
            "model",
            "id",
            "documents",
            "dense",
            "encoder",
            "budget",
            "metrics",
        ]
    ),
    st.sampled_from(
        [
            "loop",
            "each",
            "branch",
            "parallel",
            "do",
            "on",
            "then",
            "else",
            "over",
            "max",
            "until",
            "branches",
            "merge",
            "answer.read",
        ]
    ),
    st.sampled_from(["retrieve.dense", "field", "equals", "any_of", "negate"]),
    st.text(max_size=4),
)
DATA = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


@settings(QUICK, max_examples=120)
@given(section=st.sampled_from(["name", "models", "index", "pipeline", "run"]), data=DATA)
def test_any_data_in_a_section_is_valid_or_reported(registries, section, data):
    whole = yaml.safe_load(VALID) | {section: data}
    check(yaml.safe_dump(whole, allow_unicode=True))


@settings(QUICK, max_examples=80)
@given(
    path=st.sampled_from(
        ["run", "run.limit", "models.reader", "answer.read.model", "index.dense", "more", "more.k.x", "x"]
    ),
    value=st.text(max_size=20),
)
def test_any_override_is_valid_or_reported(registries, path, value):
    try:
        parse_pipeline(VALID, "broken.yaml", [f"{path}={value}"])
    except InputError as error:
        assert "--set" in str(error) or "broken.yaml" in str(error)

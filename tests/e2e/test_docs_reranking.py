"""What docs/reranking.md shows is valid."""

import re
from pathlib import Path

import pytest
import yaml

from ragkit import Pipeline

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reranking.md").read_text(encoding="utf-8")

MODELS = "models: {small: {provider: scripted, default: x}}\nindex: {documents: [x.txt], sparse: {}}\n"


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_yaml(text: str) -> None:
    steps = yaml.safe_load(text)
    if isinstance(steps, list):
        text = MODELS + yaml.safe_dump({"pipeline": [{"retrieve.sparse": {"k": 10}}, *steps]})
    assert Pipeline.from_yaml(text).index is not None


def test_every_reranker_is_in_the_table() -> None:
    from ragkit.engine.registry import stages

    listed = re.findall(r"^\| `(rerank\.\w+)` \| .* \| .* \|$", PAGE, re.MULTILINE)
    assert {n for n in stages if n.startswith("rerank.") and stages[n].__module__.startswith("ragkit.")} == set(listed)

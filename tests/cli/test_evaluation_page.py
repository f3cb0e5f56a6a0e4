"""What docs/evaluation.md shows can be used as it stands."""

import re
from pathlib import Path

import pytest
import yaml

from ragkit.engine.registry import metrics
from ragkit.evaluation.metrics import parse_metric
from ragkit.evaluation.suite import SuiteSettings, load_suite

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_its_pipeline_is_valid(ragkit, tmp_path):
    (pipeline,) = [text for text in SNIPPETS if "pipeline:\n" in text]
    (tmp_path / "p.yaml").write_text(pipeline)
    result = ragkit("validate", tmp_path / "p.yaml")
    assert result.code == 0, result.err


def test_its_suite_is_valid(tmp_path):
    (suite,) = [text for text in SNIPPETS if "sets:" in text]
    (tmp_path / "suite.yaml").write_text(suite.replace("pipelines/", f"{ROOT}/pipelines/"))
    found = load_suite(tmp_path / "suite.yaml")
    assert isinstance(found.settings, SuiteSettings)


def test_its_metrics_are_known():
    (listed,) = [text for text in SNIPPETS if text.startswith("run:")]
    names = yaml.safe_load(listed)["run"]["metrics"]
    assert [str(parse_metric(name)) for name in names] == names


@pytest.mark.parametrize("name", [name for name in metrics if metrics[name].__module__.startswith("ragkit.")])
def test_every_metric_is_in_its_table(name):
    table = PAGE.split("## Metrics")[1].split("## Judges")[0]
    family = re.sub("^(support|erm4_legacy)_", "_", name)  # rows that name the prefix once
    assert re.search(rf"`(\w*){re.escape(family)}\b", table) or re.search(rf"\b{re.escape(name)}\b", table)

"""The suites and pipelines of the repository."""

from pathlib import Path

import pytest

from ragkit import Pipeline
from ragkit.evaluation.suite import is_suite, load_suite

ROOT = Path(__file__).parents[2]
SUITES = sorted((ROOT / "eval" / "suites").glob("*.yaml"))


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_suite_of_the_repository_is_valid(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert is_suite(path)
    suite = load_suite(path)
    for file in suite.settings.pipelines:
        folder, stem = Path(file).parent.name, Path(file).stem
        assert Pipeline.load(file).name in (stem, f"{folder}_{stem}")


def test_a_pipeline_is_no_suite():
    assert SUITES
    assert not is_suite(ROOT / "pipelines" / "bm25.yaml")

"""What docs/documents-and-indexes.md shows is valid, and its Python runs."""

import re
from pathlib import Path

import pytest
import yaml

from ragkit import Pipeline

PAGE = Path(__file__).parents[2] / "docs" / "documents-and-indexes.md"


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("text", snippets("yaml"))
def test_yaml(text: str) -> None:
    data = yaml.safe_load(text)
    parts = [part for part in ("dense", "sparse") if part in data["index"]]
    steps = f"pipeline:\n  - retrieve.{parts[0] if len(parts) == 1 else 'hybrid'}:\n"
    assert Pipeline.from_yaml(text if "pipeline" in data else text + steps).index is not None


@pytest.mark.parametrize("text", snippets("python"))
def test_python(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAGKIT_HOME", str(tmp_path / "home"))
    exec(text, {"__name__": "docs"})
    if "print(" in text:
        assert "45 EUR" in capsys.readouterr().out

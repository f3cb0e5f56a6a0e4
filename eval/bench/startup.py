"""How long `ragkit --help` and `ragkit validate` take, and that they import no model library."""

import argparse
import statistics
import subprocess
import sys
import time

from common import ROOT, Target, table, write_result

COMMANDS = {"--help": ["--help"], "validate": ["validate", "pipelines/quickstart.yaml"]}
HEAVY = ("torch", "faiss", "transformers")
START = "import sys; from ragkit.cli import main; sys.argv[0] = 'ragkit'; main()"
TELL = (
    f"import atexit, sys; atexit.register(lambda: print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)); "
)


def seconds(arguments: list[str]) -> float:
    """Return the wall time of one start of the command in a process of its own."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", START, *arguments], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - start


def imported(arguments: list[str]) -> list[str]:
    """Return the heavy modules that a command imports."""
    process = subprocess.run(
        [sys.executable, "-c", TELL + START, *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [name for name in HEAVY if f"'{name}'" in process.stderr]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    times = {name: [seconds(arguments) for _ in range(args.rounds)] for name, arguments in COMMANDS.items()}
    heavy = {name: imported(arguments) for name, arguments in COMMANDS.items()}
    rows = [
        (f"ragkit {name}", f"{statistics.median(times[name]):.2f}", ", ".join(heavy[name]) or "none")
        for name in COMMANDS
    ]
    print(table([("start-up", "seconds", "torch, faiss, transformers"), *rows]))
    write_result(
        "startup",
        vars(args),
        {"seconds": times, "heavy_modules": heavy},
        [Target(f"heavy modules imported by {name}", len(heavy[name]), 1, "below") for name in COMMANDS],
        full=vars(args) == vars(parser.parse_args([])),
    )


if __name__ == "__main__":
    main()

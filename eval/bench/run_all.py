"""Run every bench and say which targets are met; exit code 1 if one is missed or not measured."""

import argparse
import json
import subprocess
import sys

from common import RESULTS, ROOT, Target, target_table

BENCHES = (
    "engine",
    "generation",
    "encoding",
    "cache",
    "startup",
    "dense",
    "sparse",
    "incremental",
    "memory",
    "report",
    "react",
    "pdf_tables",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine-python", default=sys.executable, help="interpreter that has haystack-ai")
    args = parser.parse_args()
    targets = []
    failed = []
    for name in BENCHES:
        python = args.engine_python if name == "engine" else sys.executable
        print(f"== {name}", flush=True)
        if subprocess.run([python, f"eval/bench/{name}.py"], cwd=ROOT).returncode:
            failed.append(name)
            continue
        result = json.loads((RESULTS / f"bench_{name}.json").read_text(encoding="utf-8"))
        for row in result["targets"]:
            row.pop("verdict")
            targets.append(Target(**row | {"name": f"{name}: {row['name']}"}))
        print()
    print("== all")
    print(target_table(targets))
    if failed:
        print(f"failed: {', '.join(failed)}")
    sys.exit(bool(failed) or any(target.verdict != "met" for target in targets))


if __name__ == "__main__":
    main()

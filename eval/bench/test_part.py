"""Write the test part of a file of questions: what nothing that ragkit ships was trained on.

python eval/bench/test_part.py DIR/nq_open/queries.dev.jsonl.gz nq_open.jsonl --limit 20
"""

import argparse
import gzip
import json
from pathlib import Path

from ragkit.evaluation.split import part_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", type=Path, help="JSON Lines, also compressed, each row with an id")
    parser.add_argument("out", type=Path)
    parser.add_argument("--limit", type=int, help="the first so many of the part")
    args = parser.parse_args()
    opened = gzip.open if args.questions.suffix == ".gz" else open
    with opened(args.questions, "rt", encoding="utf-8") as lines:
        kept = [line for line in lines if line.strip() and part_of(str(json.loads(line)["id"])) == "test"]
    args.out.write_text("".join(kept[: args.limit]), encoding="utf-8")
    print(f"{len(kept[: args.limit])} of {len(kept)} questions of the test part")


if __name__ == "__main__":
    main()

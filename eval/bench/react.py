"""The agent's loop over many questions at once, and over one after the other; model and index take 50 ms a call.

A tenth of the replies is malformed. What is compared is one stage on one engine: all questions in one run, and
one run for each question.
"""

import argparse
import json
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import Target, interleave, ratio, table, write_result
from pydantic import PrivateAttr

from ragkit import Pipeline
from ragkit.engine.calls import Reply, Request
from ragkit.engine.run import Prediction
from ragkit.index import LocalIndex, SparseSettings
from ragkit.models import ScriptedModel
from ragkit.settings import RunSettings
from ragkit.stages import AgentReact

CHAINS, LENGTH = 8, 6
FAULTS = ("", "```", "Action: fly", "One line.\nAnother.", "{", "[[ ## next_tool_name ## ]]")
_ASKED = re.compile(r"chain (\d+) end after (\d+) hops")
_SEEN = re.compile(r"Station (\d+)-(\d+) \|")


class SlowIndex(LocalIndex):
    """An index whose batches take a while."""

    _seconds: float = PrivateAttr(default=0.0)

    def execute(self, op: str, batch: Sequence[Request]) -> list[Reply | Exception]:
        time.sleep(self._seconds)
        return super().execute(op, batch)


def corpus(file: Path) -> None:
    rows = [
        {"id": f"s{c}-{h}", "title": f"Station {c}-{h}", "text": f"chain {c} stop{h}. This is key{c}x{h}."}
        for c in range(CHAINS)
        for h in range(1, LENGTH + 1)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def reply(prompt: str) -> str:
    """Name the next station that is missing, or finish; a tenth of the replies is of no use."""
    number = sum(prompt.encode())
    if number % 10 == 0:
        return FAULTS[number // 10 % len(FAULTS)]
    asked, _, shown = prompt.rpartition("Question:")[2].partition("hops")
    chain, hops = map(int, _ASKED.findall(asked + "hops")[-1])
    seen = {int(hop) for own, hop in _SEEN.findall(shown) if int(own) == chain}
    missing = [hop for hop in range(1, hops + 1) if hop not in seen]
    return f"Thought: t\nAction: search\nQuery: key{chain}x{missing[0]}" if missing else "Thought: t\nAction: finish"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=0.05, help="that a call, or a batch of calls, takes")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "corpus.jsonl"
        corpus(file)
        index = SlowIndex(documents=(str(file),), sparse=SparseSettings(), path=Path(folder) / "index")
        index._seconds = args.seconds
        model = ScriptedModel(reply=reply, seconds=args.seconds)
        agent = AgentReact(model=model, index=index, k=1, budget=8)
        pipeline = Pipeline([agent], index=index, run=RunSettings(cache=False))
        pipeline.prepare()
        asked = [(f"q{n}", f"Where does chain {n % CHAINS} end after {1 + n % 6} hops?") for n in range(args.questions)]
        found: dict[str, list[Prediction]] = {}

        def together() -> None:
            found["together"] = pipeline.predict(asked)

        def apart() -> None:
            found["apart"] = [pipeline.predict([one])[0] for one in asked]

        seconds = interleave({"together": together, "apart": apart}, args.rounds)
        batches: dict[str, Any] = {}
        for name, run in (("together", together), ("apart", apart)):
            model.batches.clear()
            run()
            batches[name] = {"model_batches": len(model.batches), "model_calls": sum(model.batches)}
    plain = {name: [(one.to_row(), one.vars) for one in own] for name, own in found.items()}
    done = found["together"]
    mended: dict[str, int] = {}
    for one in done:
        for rung, count in one.vars["react"]["mended"].items():
            mended[rung] = mended.get(rung, 0) + count
    times = ratio(seconds["apart"], seconds["together"])
    print(table([("way", "seconds"), *((name, f"{min(own):.2f}") for name, own in seconds.items())]))
    print(f"mended: {mended}")
    write_result(
        "react",
        vars(args),
        {"seconds": seconds, "times_faster": times, "batches": batches, "mended": mended},
        [
            Target("one after the other, times all at once", times, 8),
            Target("the same output", float(plain["together"] == plain["apart"]), 1),
            Target("questions without an error", sum(one.error is None for one in done) / len(done), 1),
            Target("replies that were mended or asked again", float(sum(mended.values())), 1),
        ],
        full=vars(args) == vars(parser.parse_args([])),
    )


if __name__ == "__main__":
    main()

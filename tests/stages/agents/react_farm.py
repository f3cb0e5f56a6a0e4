"""An agent over a small corpus of chains: each passage names the next one, and a scripted model follows them."""

import json
import re

from ragkit import Pipeline

CHAINS, LENGTH = 8, 6
_ASKED = re.compile(r"Question: (?:Where does )?chain (\d+) end after (\d+) hops")
_SEEN = re.compile(r"Station (\d+)-(\d+) \|")


def corpus():
    """Passages of chains of stations; a station's text names the next one."""
    return [
        {
            "id": f"s{chain}-{hop}",
            "title": f"Station {chain}-{hop}",
            "text": f"chain {chain} stop{hop} of line{chain}, then go{chain}x{hop + 1}. This is key{chain}x{hop}.",
        }
        for chain in range(CHAINS)
        for hop in range(1, LENGTH + 1)
    ]


def question(chain, hops):
    return f"Question: chain {chain} end after {hops} hops".removeprefix("Question: ")


def follow(prompt):
    """What a perfect agent writes: the key of the next station of the chain, until the last one was seen."""
    chain, hops = map(int, _ASKED.findall(prompt)[-1])
    shown = prompt.rpartition("Question:")[2]
    seen = {int(hop) for own, hop in _SEEN.findall(shown) if int(own) == chain}
    missing = [hop for hop in range(1, hops + 1) if hop not in seen]
    if not missing:
        return "Thought: I have all stations.\nAction: finish"
    return f"Thought: station {missing[0]} is missing.\nAction: search\nQuery: key{chain}x{missing[0]}"


def pipeline(tmp_path, *, stage="", seconds=0.0, reply=None, k=1, budget=7):
    """Return a pipeline of `agent.react` over the corpus; the model is the perfect agent or another function."""
    from ragkit.index import LocalIndex, SparseSettings
    from ragkit.models import ScriptedModel
    from ragkit.settings import RunSettings
    from ragkit.stages import AgentReact

    file = tmp_path / "corpus.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in corpus()))
    model = ScriptedModel(reply=reply or follow, seconds=seconds)
    index = LocalIndex(documents=(str(file),), sparse=SparseSettings(), path=tmp_path / "index")
    agent = AgentReact(model=model, index=index, k=k, budget=budget, **(stage or {}))
    return Pipeline([agent], models={"agent": model}, index=index, run=RunSettings(cache=False))


def toy_index(rankings, default=()):
    """Return an index with fixed rankings of passage ids by query, which counts its searches."""
    from ragkit.engine.calls import LocalResource, Reply
    from ragkit.engine.state import Hit, Passage
    from ragkit.index.base import Index
    from ragkit.index.fusion import reciprocal_rank_fusion

    asked = []

    class Toy(Index, LocalResource):
        @property
        def parts(self):
            return ("toy",)

        def fingerprint(self):
            return "toy"

        def execute(self, op, batch):
            asked.extend(request.args["query"] for request in batch)
            return [Reply(list(rankings.get(r.args["query"], default))[: r.args["k"]]) for r in batch]

        async def search(self, part, query, k, where=None):
            names = (await self.call(part, {"query": query, "k": k})).value
            return tuple(
                Passage(
                    id=name,
                    page_content=f"About {name.partition('=')[2] or name}.",
                    hits=(Hit(part, query, n, 1 / n),),
                )
                for n, name in enumerate(names, 1)
            )

        async def search_hybrid(self, query, k, depth=50, parts=None, where=None):
            return await self.search("toy", query, k)

        def fuse(self, rankings, k):
            return reciprocal_rank_fusion(rankings, 10, k)

    index = Toy()
    return index, asked

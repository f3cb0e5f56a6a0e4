"""Stages and a small corpus for tests of evaluation: no models, everything by rule."""

import json

from ragkit import Documents, Stage, stage
from ragkit.engine.state import Citation
from ragkit.index import LocalIndex, SparseSettings


@stage("filter.toy_without", writes="documents")
class FilterWithout(Stage):
    """Drop passages that hold a word."""

    word: str

    async def run(self, documents: Documents) -> Documents:
        return tuple(d for d in documents if self.word not in d.page_content)


@stage("rerank.toy_longest", writes="documents")
class RerankLongest(Stage):
    """Longest passages first."""

    k: int

    async def run(self, documents: Documents) -> Documents:
        return tuple(sorted(documents, key=lambda d: -len(d.page_content))[: self.k])


@stage("context.toy_first", writes="vars.context")
class ContextFirst(Stage):
    """The first passages."""

    n: int = 1

    async def run(self, documents: Documents) -> Documents:
        return documents[: self.n]


@stage("answer.toy_last_word", writes=("answer", "citations"))
class AnswerLastWord(Stage):
    """The last word of the first passage; nothing without passages; a passage about failing fails."""

    async def run(self, documents: Documents, context: Documents | None = None) -> dict:
        passages = documents if context is None else context
        if not passages:
            return {"answer": None, "citations": ()}
        first = passages[0]
        if "fail" in first.page_content:
            raise ValueError("told to fail")
        return {
            "answer": first.page_content.rstrip(".").split()[-1],
            "citations": (Citation(first.id, str(first.metadata.get("source", ""))),),
        }


ROWS = [
    {"id": "wheat", "text": "Wheat is kept at fourteen."},
    {"id": "maize", "text": "Maize is kept at fifteen."},
    {"id": "rye", "text": "Rye and wheat are sown in autumn and both of them are kept dry."},
    {"id": "oats", "text": "Oats, spoiled maize and wheat are kept apart."},
]


def small_index(folder, rows=ROWS, **fields):
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return LocalIndex(
        documents=("corpus.jsonl",), base=folder, sparse=SparseSettings(), path=folder / "index", **fields
    )

"""Candidates that are equally relevant and differ only in a planted date, source and depth, over real text.

A candidate is the sentence of a gold passage that answers the question, followed by 0 to 5 further sentences of the
same page or passage (its depth), with a date and a publisher in its metadata. Each of the three has a grade from 0 to
5, drawn at random, and the intended three are those with the highest sums; no fourth has the sum of the third.
What is written for tuning also holds passages from elsewhere that BM25 takes for an answer, with a date and a publisher
like the others: without them nothing would teach relevance.
"""

import argparse
import gzip
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random

import bm25s
from common import ROOT
from sentencex import segment

from ragkit import Passage
from ragkit.documents import Chunking, IngestReport, PdfSettings, cut, discover, read_file
from ragkit.evaluation.evidence import holds_answer
from ragkit.evaluation.questions import Question, read_questions

CRITERIA = ("recency", "authority", "depth")
NEWEST = date(2025, 6, 30)
HALF_LIFE_YEARS = 3.0
PUBLISHERS = {
    "standards.example.org": 5, "journal.example.org": 4, "extension.example.edu": 3, "magazine.example.com": 2,
    "forum.example.com": 1, "anonymous": 0,
}  # fmt: skip
CANDIDATES, BEST, DEEPEST = 10, 3, 5
RELEVANCE, IRRELEVANCE = 4, 0
"""The digit of every candidate's relevance, and that of a passage from elsewhere."""
ELSEWHERE = 5
"""Passages from elsewhere for each question."""

_WORDS = range(5, 61)  # fewer are no sentence, but a heading or a cell; more are a table


@dataclass(frozen=True, slots=True)
class Planted:
    """A question with its candidates, the grades of all passages by id, and the ids of the intended three.

    Attributes:
        passages: the candidates.
        elsewhere: passages that do not answer the question; their depth has no grade.
    """

    id: str
    question: str
    passages: tuple[Passage, ...]
    elsewhere: tuple[Passage, ...]
    grades: dict[str, dict[str, int]]
    best: frozenset[str]


@dataclass(frozen=True, slots=True)
class Source:
    """A question with a text that answers it, and texts that do not, the likeliest mistake first."""

    question: Question
    text: str
    elsewhere: tuple[str, ...]


def plant(source: Source) -> Planted | None:
    """Return the candidates of a question over a text that answers it, None if the text is too short."""
    question, text = source.question, source.text
    pieces = dict.fromkeys(" ".join(piece.split()) for piece in segment("en", text))
    sentences = [piece for piece in pieces if len(piece.split()) in _WORDS and "|" not in piece]
    if len(sentences) <= DEEPEST:
        return None
    core = next((sentence for sentence in sentences if holds_answer([sentence], question.answers)), sentences[0])
    others = [sentence for sentence in sentences if sentence != core]
    rng = Random(question.id)
    while True:
        drawn = [{name: rng.randint(0, 5) for name in CRITERIA} for _ in range(CANDIDATES)]
        sums = sorted((sum(grades.values()) for grades in drawn), reverse=True)
        if sums[BEST - 1] > sums[BEST]:
            break
    ids = [f"{question.id}-{number}" for number in range(CANDIDATES)]
    grades = dict(zip(ids, drawn, strict=True))
    passages = tuple(
        _passage(name, " ".join([core, *rng.sample(others, given["depth"])]), given) for name, given in grades.items()
    )
    order = sorted(ids, key=lambda name: -sum(grades[name].values()))
    grades = {name: {"relevance": RELEVANCE} | given for name, given in grades.items()}
    wrong = []
    for number, other in enumerate(source.elsewhere[:ELSEWHERE]):
        given = {"relevance": IRRELEVANCE, "recency": rng.randint(0, 5), "authority": rng.randint(0, 5)}
        wrong.append(_passage(f"{question.id}-x{number}", other, given))
        grades[wrong[-1].id] = given
    return Planted(question.id, question.question, passages, tuple(wrong), grades, frozenset(order[:BEST]))


def _passage(name: str, text: str, grades: dict[str, int]) -> Passage:
    metadata = {"publisher": next(name for name, grade in PUBLISHERS.items() if grade == grades["authority"])}
    if grades["recency"]:  # so old that the date scorer gives this grade
        years = HALF_LIFE_YEARS * math.log2(DEEPEST / grades["recency"])
        metadata["date"] = (NEWEST - timedelta(days=round(years * 365.25))).isoformat()
    return Passage(id=name, page_content=text, metadata=metadata)


def planted(count: int, data: Path | None = None) -> list[Planted]:
    """Return so many questions with candidates, from the field guide or from a folder with a question set.

    Raises:
        SystemExit: there are not so many whose gold text is long enough.
    """
    sources = _from_rows(data) if data is not None else _from_guide()
    made = []
    for source in sources:
        if (found := plant(source)) is not None:
            made.append(found)
        if len(made) == count:
            return made
    raise SystemExit(f"only {len(made)} questions have a gold text that is long enough, not {count}")


def _from_guide() -> Iterator[Source]:
    """Yield the questions of the field guide with the text of their gold page and the pages around it."""
    folder = ROOT / "corpora" / "fieldguide"
    report = IngestReport()
    pages: dict[str, dict[int, list[str]]] = {}
    for file in discover(["*.pdf"], folder):
        for document in read_file(file, report, PdfSettings()):
            for passage in cut(document, Chunking(size=200)).passages:
                if isinstance(page := passage.metadata.get("page"), int):
                    pages.setdefault(document.id, {}).setdefault(page, []).append(passage.page_content)
    texts = [(name, text) for name, of in pages.items() for found in of.values() for text in found]
    nearest = _nearest([text for _, text in texts])
    for question in read_questions(folder / "questions.jsonl"):
        document, _, page = (question.supporting_ids or ("",))[0].rpartition("#p")
        if document in pages and page.isdigit():
            near = (int(page), int(page) + 1, int(page) - 1)
            text = "\n".join(text for number in near for text in pages[document].get(number, ()))
            others = (texts[number] for number in nearest(question.question))
            elsewhere = [text for name, text in others if name != document]
            yield Source(question, text, _without_answer(elsewhere, question))


def _from_rows(folder: Path) -> Iterator[Source]:
    """Yield questions with their gold passage and others of the same title."""
    with gzip.open(folder / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = {str(row["id"]): row for row in map(json.loads, lines)}
    titles: dict[str, list[str]] = {}
    for row in rows.values():
        titles.setdefault(row.get("title", ""), []).append(row["text"])
    listed = list(rows.values())
    nearest = _nearest([f"{row.get('title', '')} {row['text']}" for row in listed])
    for question in read_questions(folder / "queries.dev.jsonl.gz"):
        gold = [rows[name] for name in question.supporting_ids or () if name in rows]
        if gold:
            text = "\n".join([gold[0]["text"], *titles[gold[0].get("title", "")]])
            known = {row.get("title", "") for row in gold}
            others = (listed[number] for number in nearest(question.question))
            elsewhere = [row["text"] for row in others if row.get("title", "") not in known]
            yield Source(question, text, _without_answer(elsewhere, question))


def _nearest(texts: Sequence[str]) -> Callable[[str], list[int]]:
    """Return what finds the numbers of the texts that BM25 takes for an answer, the best one first."""
    index = bm25s.BM25()
    index.index(bm25s.tokenize(list(texts), show_progress=False), show_progress=False)

    def nearest(query: str) -> list[int]:
        words = bm25s.tokenize([query], show_progress=False)
        return [int(n) for n in index.retrieve(words, k=min(50, len(texts)), show_progress=False).documents[0]]

    return nearest


def _without_answer(texts: Sequence[str], question: Question) -> tuple[str, ...]:
    """Return the texts that do not hold an answer."""
    return tuple(text for text in texts if not holds_answer([text], question.answers))


def write(made: Sequence[Planted], folder: Path) -> None:
    """Write a corpus and questions for `ragkit tune`: a question's filter lets through its own passages alone."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as corpus:
        for each in made:
            for p in (*each.passages, *each.elsewhere):
                row = {"id": p.id, "text": p.page_content, "asked": each.id, "grades": each.grades[p.id]} | p.metadata
                row["title"] = each.question  # searched, so that all of its passages are found; never shown
                corpus.write(json.dumps(row, ensure_ascii=False) + "\n")
    with (folder / "questions.jsonl").open("w", encoding="utf-8") as questions:
        for each in made:
            where = {"field": "asked", "equals": each.id}
            row = {"id": each.id, "question": each.question, "supporting_ids": sorted(each.best)}
            row["vars"] = {"where": where}
            questions.write(json.dumps(row, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where corpus.jsonl and questions.jsonl go")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--data", type=Path, help="folder of a question set, instead of the field guide")
    args = parser.parse_args()
    write(planted(args.queries, args.data), args.folder)


if __name__ == "__main__":
    main()

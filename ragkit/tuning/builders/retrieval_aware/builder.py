"""The data builder `retrieval_aware`."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from ragkit.engine.controls import replace_stages, steps_of
from ragkit.engine.jsonl import dump_line
from ragkit.engine.registry import builders
from ragkit.engine.run import Asked
from ragkit.engine.run_folder import replace_file
from ragkit.engine.state import Documents, Passage
from ragkit.errors import InputError, RagkitError
from ragkit.evaluation.evidence import document_of
from ragkit.evaluation.question_sets import ranking_only
from ragkit.evaluation.questions import Question
from ragkit.evaluation.split import Part
from ragkit.evaluation.variants import folder_name
from ragkit.models.base import Prompt
from ragkit.pipeline import Pipeline
from ragkit.stages.answer import containing
from ragkit.stages.answer_multimodal import AnswerMultimodal
from ragkit.stages.context_pages import ContextPages
from ragkit.stages.shown import Capped, Shown
from ragkit.tuning.builders.retrieval_aware.corpus import Corpus, Hygiene, place_of
from ragkit.tuning.builders.retrieval_aware.generating import PageQuestions, write_questions
from ragkit.tuning.builders.retrieval_aware.mixture import ABSENT, HARD, RANDOM, kinds
from ragkit.tuning.builders.stages import stage_with
from ragkit.tuning.calls import run_cached, values_of
from ragkit.tuning.data import BuildContext, DataBuilder, TuningSet
from ragkit.tuning.rows import Row, RowPicture, SeenRow, SftRow

GOLD, RETRIEVED = "gold", "retrieved"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A row in the making: a question with the pages that its reader is shown, best first."""

    question: Question
    kind: str
    gold: tuple[Passage, ...]
    pages: Documents


@builders.register("retrieval_aware")
class RetrievalAwareBuilder(DataBuilder):
    """Answers from the pages that a retrieval finds, the wrong ones included, as the recipe's pipeline shows them.

    With `pages: mixture` exactly the rates of the rows have the evidence among hard distractors (the pages that the
    pipeline itself finds for the question), the evidence among random pages of the same document, and hard distractors
    alone, on which the reader abstains. No distractor lies within `margin` pages of the evidence or says nearly the
    same as it or as another page of the row. `gold` gives the control: the same questions with their evidence alone.
    `retrieved` gives the paper's own rows: the first pages that were found, whatever they are, and always the answer.

    The prompts are those of the pipeline's steps `context.pages` and `answer.multimodal`; a text-only reader gets
    tables as Markdown. No document is in rows and in held-out questions: give the sets `split: document`.
    For each set and part the run's folder gets `retrieval_aware.<set>.<part>.json`, the audit of the rows, and with
    `generate` also `.jsonl`, the questions that were written, in the form of a questions file.

    Source: Chia et al. 2025, M-LongDoc, arXiv 2411.06176, section 4; the mixture follows Zhang et al. 2024, RAFT, arXiv
    2403.10131.
    """

    makes: ClassVar[type[Row]] = SftRow

    pages: Literal["mixture", "gold", "retrieved"] = Field(
        "mixture", description="mixture | gold (the control) | retrieved (as in the paper)"
    )
    gold_hard: float = Field(0.8, ge=0, description="rate of rows with the evidence among pages found for the question")
    gold_random: float = Field(0.1, ge=0, description="rate of rows with the evidence among pages drawn at random")
    absent: float = Field(0.1, ge=0, description="rate of rows without the evidence, which are abstained on")
    margin: int = Field(1, ge=0, description="pages before and after the evidence that are no distractors")
    similarity: float = Field(
        0.8, gt=0, le=1, description="share of three-word sequences from which on two pages are near-duplicates"
    )
    depth: int = Field(40, ge=1, description="pages that are searched for distractors")
    answer_words: int = Field(200, ge=1, description="questions with longer gold answers give no rows")
    most: int | None = Field(None, ge=1, description="the most questions of a set, drawn at random")
    generate: PageQuestions | None = Field(
        None, description="write questions about the documents of the part, instead of using the sets' own"
    )

    @model_validator(mode="after")
    def _has_rows(self) -> "RetrievalAwareBuilder":
        if self.gold_hard + self.gold_random + self.absent <= 0:
            raise ValueError("one of the rates gold_hard, gold_random and absent has to be above 0")
        return self

    @property
    def rates(self) -> dict[str, float]:
        """The rates of the mixture by kind of row."""
        return {HARD: self.gold_hard, RANDOM: self.gold_random, ABSENT: self.absent}

    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        rows: list[Row] = []
        for opened in context.sets(part):
            self._see_split(opened, part, context)
            rows += self._rows(opened, part, context)
        random.Random(context.seed).shuffle(rows)  # noqa: S311 - not for secrets
        return rows

    def _see_split(self, opened: TuningSet, part: Part, context: BuildContext) -> None:
        """See that no document is both trained on and held out.

        Raises:
            InputError: the set is split by questions.
        """
        own = _documents(opened.questions)
        for other in ("train", "test"):
            if other == part or self.generate is not None:  # questions that are written are split by document
                continue
            with context.openers[opened.name](other) as held:
                shared = own & _documents(held.questions)
            if shared:
                raise InputError(
                    f"set '{opened.name}': {len(shared)} documents, such as '{min(shared)}', have questions in the "
                    f"{part} and in the {other} part: give the set 'split: document'"
                )

    def draw(self, opened: TuningSet, part: Part, k: int, context: BuildContext) -> tuple[list[Drawn], dict[str, Any]]:
        """Return the questions of a set that give rows, each with at most k pages, and the audit of the choice.

        Raises:
            InputError: the index cannot be looked into, or holds no distractor for a question.
            RagkitError: a question's search failed.
        """
        corpus = Corpus(opened.pipeline)
        questions, written = opened.questions, None
        if self.generate is not None:
            written = write_questions(self.generate, corpus, part, context)
            questions = written.questions
        usable = [(question, gold) for question in questions if (gold := self._usable(question, corpus))]
        if self.most is not None and len(usable) > self.most:
            usable = random.Random(f"most {context.seed}").sample(usable, self.most)  # noqa: S311 - not for secrets
        found = self._found(opened.pipeline, [question for question, _ in usable], context)
        hygiene = Hygiene(self.margin, self.similarity)
        drawn = self._drawn(usable, found, corpus, k, hygiene, context.seed)
        return drawn, {
            "pages": self.pages,
            "questions": len(questions),
            "usable": len(usable),
            "documents": len(_documents([question for question, _ in usable])),
            "rows": dict(sorted(Counter(one.kind for one in drawn).items())),
            "pages_shown": dict(sorted(Counter(len(one.pages) for one in drawn).items())),
            "refused_distractors": hygiene.dropped,
            **({} if written is None else {"dropped_questions": dict(written.dropped.most_common())}),
        }

    def _rows(self, opened: TuningSet, part: Part, context: BuildContext) -> list[Row]:
        shows = stage_with(opened.pipeline, ContextPages, context.model)
        answers = stage_with(opened.pipeline, AnswerMultimodal, context.model)
        drawn, audit = self.draw(opened, part, shows.k, context)
        tasks = [partial(shows.run, one.question.question, one.pages) for one in drawn]
        shown = run_cached(tasks, f"{opened.name}: pages", context)
        rows: list[Row] = []
        positions: Counter[int] = Counter()
        for one, written in zip(drawn, values_of(shown, f"set '{opened.name}': the pages of a row"), strict=True):
            pages, media = written["vars.context"], written["media"]
            places = _gold_places(pages, one.gold)
            positions.update(places)
            rows.append(self._row(opened.name, one, answers, pages, media, places))
        audit["gold_positions"] = dict(sorted(positions.items()))
        file = context.folder / f"retrieval_aware.{folder_name(opened.name)}.{part}.json"
        replace_file(file, json.dumps(audit, indent=2) + "\n")
        if self.generate is not None:
            replace_file(file.with_suffix(".jsonl"), b"".join(dump_line(_file_row(one.question)) for one in drawn))
        return rows

    def _usable(self, question: Question, corpus: Corpus) -> list[Passage]:
        """Return the gold pages of a question that can give a row, nothing for others."""
        short = any(len(answer.split()) <= self.answer_words for answer in question.answers)
        return corpus.gold(question) if question.answerable and short else []

    def _found(self, pipeline: Pipeline, questions: Sequence[Question], context: BuildContext) -> list[Documents]:
        """Return what the pipeline finds for each question, deeper than it would show."""
        ranking = ranking_only(pipeline)
        deeper = {
            step.id: step.stage.model_copy(update={"k": max(self.depth, getattr(step.stage, "k", 0))})
            for step in steps_of(ranking.nodes)
            if step.stage.name.startswith("retrieve.") and "k" in type(step.stage).model_fields
        }
        nodes = replace_stages(ranking.nodes, deeper)
        deep = Pipeline(nodes, name=ranking.name, models=ranking.models, index=ranking.index, run=ranking.settings)
        asked = [Asked(question.id, question.question, question.vars) for question in questions]
        predictions = deep.predict(asked, on_progress=context.on_progress) if asked else []
        for prediction in predictions:
            if prediction.error is not None:
                error = prediction.error
                raise RagkitError(f"question '{prediction.id}': {error['stage']}: {error['message']}")
        return [prediction.documents for prediction in predictions]

    def _drawn(
        self,
        usable: Sequence[tuple[Question, list[Passage]]],
        found: Sequence[Documents],
        corpus: Corpus,
        k: int,
        hygiene: Hygiene,
        seed: int,
    ) -> list[Drawn]:
        if self.pages == "mixture":
            drawn_kinds = kinds(len(usable), self.rates, seed)
        else:
            drawn_kinds = [GOLD if self.pages == "gold" else RETRIEVED] * len(usable)
        rows = []
        for (question, gold), ranking, kind in zip(usable, found, drawn_kinds, strict=True):
            draw = random.Random(f"{seed} {question.id}")  # noqa: S311 - not for secrets
            if kind == GOLD:
                pages = tuple(gold[:k])
            elif kind == RETRIEVED:
                pages = ranking[:k]
            else:
                pages = self._mixed(question, gold, ranking, corpus, kind, k, hygiene, draw)
            rows.append(Drawn(question, kind, tuple(gold), pages))
        return rows

    def _mixed(
        self,
        question: Question,
        gold: list[Passage],
        ranking: Documents,
        corpus: Corpus,
        kind: str,
        k: int,
        hygiene: Hygiene,
        draw: random.Random,
    ) -> Documents:
        """Return the evidence, or nothing of it, among distractors, in random order.

        Raises:
            InputError: the corpus has not a single page that may be a distractor.
        """
        documents = list(dict.fromkeys(place_of(passage)[0] for passage in gold))
        own = corpus.of(documents)
        at_random = draw.sample(own, len(own))
        # Documents of a few pages have too few distractors of their own.
        others = corpus.of(draw.sample(corpus.documents, min(k, len(corpus.documents))))
        rest = [*at_random, *draw.sample(others, len(others))]
        candidates = rest if kind == RANDOM else [*ranking, *rest]
        evidence = [] if kind == ABSENT else gold[:k]
        wanted = k - len(evidence)
        taken = hygiene.clean(candidates, gold, wanted, question.answers if kind == ABSENT else ())
        if wanted and not taken:
            raise InputError(f"question '{question.id}': the corpus holds no page that may be a distractor")
        pages = [*evidence, *taken]
        return tuple(draw.sample(pages, len(pages)))

    def _row(
        self,
        name: str,
        one: Drawn,
        stage: AnswerMultimodal,
        pages: Documents,
        media: tuple[Shown, ...],
        places: Sequence[int],
    ) -> SftRow:
        answer = next(text for text in one.question.answers if len(text.split()) <= self.answer_words)
        prompt = stage.render(one.question.question, pages, media)
        completion = stage.abstain if one.kind == ABSENT else cited(answer, pages, places)
        origin = {
            "set": name,
            "question": one.question.id,
            "kind": one.kind,
            "pages": [page.id for page in pages],
            "gold": list(places),
        }
        row = SftRow(prompt=prompt, completion=_continuation(prompt, completion), origin=origin)
        if not media:
            return row
        pictures = tuple(_row_picture(shown.picture) for shown in media)
        return SeenRow(prompt=row.prompt, completion=row.completion, origin=origin, pictures=pictures)


def cited(answer: str, pages: Documents, places: Sequence[int]) -> str:
    """Return an answer with the numbers of the gold pages: those that hold it word for word, or all; none without any.

    Args:
        answer: the gold answer.
        pages: what the reader is shown.
        places: numbers of the gold pages among them, from 1.
    """
    named = [place for place in places if containing(answer, (pages[place - 1],))] or list(places)
    return f"{answer} [{', '.join(map(str, named))}]" if named else answer


def _row_picture(picture: Capped) -> RowPicture:
    image = picture.image
    return RowPicture(
        file=str(image.file), pdf=str(image.pdf), page=image.page, box=image.box, dpi=image.dpi, side=picture.side
    )


def _gold_places(pages: Documents, gold: Sequence[Passage]) -> list[int]:
    ids = {passage.id for passage in gold}
    return [number for number, page in enumerate(pages, 1) if page.id in ids]


def _file_row(question: Question) -> dict[str, Any]:
    kept = {key: value for key, value in asdict(question).items() if key not in ("extra", "relevance")}
    return kept | question.extra


def _documents(questions: Sequence[Question]) -> set[str]:
    return {document_of(name) for question in questions for name in question.supporting_ids}


def _continuation(prompt: Prompt, completion: str) -> str:
    """Return a completion as it goes on from a prompt: a text with a blank, a chat turn with the word."""
    return f" {completion}" if isinstance(prompt, str) else completion

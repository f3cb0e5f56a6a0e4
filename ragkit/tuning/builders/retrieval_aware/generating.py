"""Questions about the pages of a corpus that nobody has asked questions about."""

import hashlib
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field

from ragkit.documents.pages import Page
from ragkit.engine.component import Component
from ragkit.engine.state import Passage
from ragkit.evaluation.questions import Question
from ragkit.evaluation.split import Part, part_of
from ragkit.models.base import SLOT, LanguageModel, slot, without_slots
from ragkit.prompts import prompt_setting, render
from ragkit.stages.shown import Capped
from ragkit.tuning.builders.retrieval_aware.corpus import Corpus, place_of
from ragkit.tuning.calls import run_cached
from ragkit.tuning.data import BuildContext

Category = Literal["text", "table", "figure"]
GIVEN = ("category", "context", "target")
CHECKS = 4
UNREADABLE, REFUSED, UNANSWERED, FAILED = "check unreadable", "check failed", "not answered", "call failed"
_VERDICT = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    """What a question is asked about: the text of a page, or its tables or figures.

    Attributes:
        passage: the page.
        category: what of it.
        text: the page's own words, or those of its tables or figures; pictures stand in it as slots.
        pictures: of the tables or figures, for a model that sees.
        context: the texts of the page and of those before and after it.
    """

    passage: Passage
    category: Category
    text: str
    pictures: tuple[Capped, ...]
    context: str


class PageQuestions(Component):
    """Writes questions by category about the pages of documents, checks them, and answers them.

    For each document and category pages are visited in random order, those without such an object skipped, until so
    many questions are accepted. A model drawn at random asks, checks its own question by four yes or no questions and,
    if all are yes, answers it. Models that take pictures see the tables and figures.

    Source: Chia et al. 2025, M-LongDoc, arXiv 2411.06176, sections 3.2 and 4.
    """

    models: tuple[LanguageModel, ...] = Field(min_length=1, description="who asks; one is drawn for each question")
    per_category: int = Field(5, ge=1, description="questions of a document and category")
    categories: tuple[Category, ...] = Field(
        ("text", "table", "figure"), min_length=1, description="what is asked about"
    )
    temperature: float = Field(0.7, ge=0, description="of the questions")
    side: int = Field(768, ge=28, description="the most pixels of the longer side of a picture")
    question_prompt: Annotated[str, prompt_setting(*GIVEN)] = Field("pages.question", description="asks for a question")
    check_prompt: Annotated[str, prompt_setting(*GIVEN, "question")] = Field(
        "pages.check", description="asks four yes or no questions about a question"
    )
    answer_prompt: Annotated[str, prompt_setting(*GIVEN, "question", "abstain")] = Field(
        "pages.answer", description="asks for the answer"
    )
    abstain: str = Field("unanswerable", min_length=1, description="the reply that says that there is no answer")
    max_new_tokens: int = Field(400, ge=16, description="the most tokens of a reply")


@dataclass
class Written:
    """The accepted questions, and what became of the others."""

    questions: list[Question] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


def write_questions(settings: PageQuestions, corpus: Corpus, part: Part, context: BuildContext) -> Written:
    """Return questions about the documents of a part; the same corpus, models and seed give the same.

    Raises:
        RagkitError: a model could not be opened, or no call of a round succeeded.
    """
    waiting: dict[tuple[str, Category], list[Target]] = {}
    for document in corpus.documents:
        if part_of(document) == part:
            for category in settings.categories:
                targets = targets_of(corpus.of([document]), category, settings.side)
                draw = random.Random(f"{context.seed} {document} {category}")  # noqa: S311 - not for secrets
                waiting[document, category] = draw.sample(targets, len(targets))
    written = Written()
    accepted: Counter[tuple[str, Category]] = Counter()
    while True:
        asked: list[tuple[tuple[str, Category], Target]] = []
        for key, targets in waiting.items():
            wanted = settings.per_category - accepted[key]
            asked += [(key, target) for target in targets[:wanted]]
            del targets[:wanted]
        if not asked:
            return written
        tasks = [partial(_ask, settings, target, context.seed) for _, target in asked]
        for (key, target), outcome in zip(asked, run_cached(tasks, "questions about pages", context), strict=True):
            if outcome.error is not None:
                written.dropped[FAILED] += 1
            elif isinstance(outcome.value, str):
                written.dropped[outcome.value] += 1
            else:
                accepted[key] += 1
                written.questions.append(_question(target, *outcome.value))


def targets_of(passages: Sequence[Passage], category: Category, side: int) -> list[Target]:
    """Return what of a document's pages can be asked about, in their order."""
    texts = {place_of(passage)[1]: passage.page_content for passage in passages}
    targets = []
    for passage in passages:
        number = place_of(passage)[1]
        near = "\n\n".join(without_slots(texts[n]) for n in (number - 1, number, number + 1) if texts.get(n))
        page = Page.of(passage) if "objects" in passage.metadata else None
        if category == "text":
            body = page.body if page is not None else passage.page_content
            if body.strip():
                targets.append(Target(passage, category, without_slots(body), (), near))
            continue
        objects = [one for one in (page.objects if page is not None else ()) if one.category == category]
        pictures = [Capped(one.image, side) if one.image is not None else None for one in objects]
        seen = [picture for picture in pictures if picture is not None and picture.shows_something()]
        if page is not None and objects:
            pieces = []
            for one, picture in zip(objects, pictures, strict=True):
                pieces.append(without_slots(page.text_of(one)) or one.category)
                if picture in seen:
                    pieces.append(slot(seen.index(picture)))  # type: ignore[arg-type]
            targets.append(Target(passage, category, "\n".join(pieces), tuple(seen), near))
    return targets


async def _ask(settings: PageQuestions, target: Target, seed: int) -> tuple[str, str, int] | str:
    """Return a question, its answer and the number of the model that wrote both, or why there is none."""
    number = random.Random(f"{seed} {target.passage.id} {target.category}").randrange(len(settings.models))  # noqa: S311
    model = settings.models[number]
    values: dict[str, Any] = {"category": target.category, "context": target.context, "target": target.text}
    if not model.takes_pictures:
        values["target"] = SLOT.sub("", target.text)
    pictures = target.pictures if model.takes_pictures else ()
    asking: dict[str, Any] = {"max_new_tokens": settings.max_new_tokens, "pictures": pictures}
    sampling: dict[str, Any] = {"temperature": settings.temperature, "seed": seed} if settings.temperature else {}
    asked = await model.generate(render(settings.question_prompt, **values), **asking, **sampling)
    question = " ".join(asked.text.split())
    if not question:
        return UNANSWERED
    checked = await model.generate(render(settings.check_prompt, question=question, **values), **asking)
    verdicts = [verdict.lower() for verdict in _VERDICT.findall(checked.text)]
    if len(verdicts) != CHECKS:
        return UNREADABLE
    if "no" in verdicts:
        return REFUSED
    filled = render(settings.answer_prompt, question=question, abstain=settings.abstain, **values)
    answer = (await model.generate(filled, **asking)).text.strip()
    if not answer or answer.strip(" .").casefold() == settings.abstain.casefold():
        return UNANSWERED
    return question, answer, number


def _question(target: Target, question: str, answer: str, model: int) -> Question:
    document, page = place_of(target.passage)
    name = hashlib.sha256(f"{document} {page} {target.category} {question}".encode()).hexdigest()[:12]
    return Question(
        id=name,
        question=question,
        answers=(answer,),
        supporting_ids=(f"{document}#p{page}",),
        type=target.category,
        extra={"generator": model},
        vars={"document": document},
    )

"""The steps from sections to pairs that are trained on. All calls go through the engine, each step in one batch."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from ragkit.engine.cache import CallCache
from ragkit.engine.calls import OnProgress
from ragkit.engine.controls import replace_stages, steps_of
from ragkit.engine.tasks import Task, TaskOutcome, run_tasks
from ragkit.errors import RagkitError
from ragkit.evaluation.metrics.answers import normalise
from ragkit.models.base import Encoder, LanguageModel
from ragkit.pipeline import Pipeline
from ragkit.stages.answer import AnswerRead
from ragkit.tuning.builders.corpus_qa import measures
from ragkit.tuning.builders.corpus_qa.pairs import Pair, pair_id
from ragkit.tuning.builders.corpus_qa.sections import Section, evidence_of
from ragkit.tuning.builders.corpus_qa.writing import ask_about, tag

REPEATED, SIMILAR = "question repeated", "question similar to another"
NOT_FOUND, ABSTAINED = "section not found", "not answered"
LOW_COVERAGE, LOW_GROUNDEDNESS, LOW_SUPPORT = "coverage too low", "groundedness too low", "support too low"


class Calls:
    """Runs tasks in the engine.

    Args:
        cache: where answers of calls are looked up and kept.
        on_progress: told of finished tasks and of answered calls.
    """

    def __init__(self, cache: CallCache | None, on_progress: OnProgress) -> None:
        self._cache = cache
        self.on_progress = on_progress

    def run(self, tasks: Sequence[Task], name: str) -> list[TaskOutcome]:
        """Run tasks side by side.

        Raises:
            RagkitError: a model could not be opened, or every task failed.
        """
        outcomes = run_tasks(tasks, name=name, cache=self._cache, on_progress=self.on_progress) if tasks else []
        if outcomes and all(outcome.error is not None for outcome in outcomes):
            raise RagkitError(f"{name}: all {len(outcomes)} failed, the first one with {outcomes[0].error}")
        return outcomes

    def advance(self, pairs: Sequence[Pair], step: Callable[[Pair], Awaitable[Pair]], name: str) -> list[Pair]:
        """Take the pairs that are not dropped one step further; one whose step fails is dropped for that."""
        going = [pair for pair in pairs if not pair.dropped]
        outcomes = self.run([partial(step, pair) for pair in going], name)
        further = {
            pair.id: pair.drop(f"{name} failed: {outcome.error}") if outcome.error is not None else outcome.value
            for pair, outcome in zip(going, outcomes, strict=True)
        }
        return [further.get(pair.id, pair) for pair in pairs]


def tag_sections(
    calls: Calls, sections: Sequence[Section], model: LanguageModel, prompt: str, facets: Mapping[str, Sequence[str]]
) -> list[dict[str, str] | None]:
    """Return the facets of each section, None where the model's reply broke its schema."""
    if not facets:
        return [{} for _ in sections]
    outcomes = calls.run([partial(tag, model, prompt, section, facets) for section in sections], "facets")
    return [outcome.value for outcome in outcomes]


def write_questions(
    calls: Calls,
    sections: Sequence[Section],
    facets: Sequence[dict[str, str]],
    model: LanguageModel,
    prompt: str,
    *,
    each: int,
    temperature: float,
    seed: int,
) -> list[Pair]:
    """Return `each` questions about each section, drawn one by one; one that was asked before is dropped."""
    blank = [
        (Pair(pair_id(section, number), section, tagged, question=""), number)
        for section, tagged in zip(sections, facets, strict=True)
        for number in range(each)
    ]
    draws = {pair.id: number for pair, number in blank}

    async def write(pair: Pair) -> Pair:
        sampling = {"seed": seed, "draw": draws[pair.id]}
        question = await ask_about(model, prompt, pair.section, pair.facets, temperature=temperature, **sampling)
        return replace(pair, question=question)

    pairs = calls.advance([pair for pair, _ in blank], write, "question")
    seen: set[str] = set()
    written = []
    for pair in pairs:
        plain = normalise(pair.question)
        written.append(pair.drop(REPEATED) if plain in seen else pair)
        seen.add(plain)
    return written


def measure_questions(
    calls: Calls, pairs: Sequence[Pair], grader: measures.Grader, counter: LanguageModel, min_coverage: float
) -> list[Pair]:
    """Measure questions, and drop those that their sections do not answer."""

    async def measure(pair: Pair) -> Pair:
        grades = await asyncio.gather(*(grader.question(pair, name) for name in measures.QUESTION_GRADES))
        graded = pair.measured(**dict(zip(measures.QUESTION_GRADES, grades, strict=True)))
        return graded.measured(
            overlap=measures.overlap(pair.question, pair.section.text),
            question_tokens=await counter.count_tokens(pair.question),
        )

    measured = calls.advance(pairs, measure, "question's grades")
    return [
        pair.drop(LOW_COVERAGE) if not pair.dropped and pair.measures["coverage"] < min_coverage else pair
        for pair in measured
    ]


def compare_questions(calls: Calls, pairs: Sequence[Pair], encoder: Encoder, max_similarity: float) -> list[Pair]:
    """Drop questions that say nearly the same as one before them, and measure how far the others are apart."""
    going = [pair for pair in pairs if not pair.dropped]
    outcomes = calls.run([partial(encoder.embed, pair.question, "query") for pair in going], "questions compared")
    if failed := next((outcome.error for outcome in outcomes if outcome.error is not None), None):
        raise RagkitError(f"a question could not be embedded: {failed}")
    vectors = [outcome.value for outcome in outcomes]
    again = measures.repetitions(vectors, max_similarity)
    kept = [number for number, repeated in enumerate(again) if not repeated]
    compared = {going[number].id: going[number].drop(SIMILAR) for number, repeated in enumerate(again) if repeated}
    for number, distance in zip(kept, measures.distances([vectors[number] for number in kept]), strict=True):
        compared[going[number].id] = going[number].measured(diversity=distance)
    return [compared.get(pair.id, pair) for pair in pairs]


def answer_questions(
    calls: Calls,
    pairs: Sequence[Pair],
    pipeline: Pipeline,
    reader: AnswerRead,
    answerer: LanguageModel,
    *,
    round_trip: bool,
) -> list[Pair]:
    """Answer each question for itself, from what the pipeline retrieves for it out of the whole corpus.

    With `round_trip`, questions are dropped for which that is nothing of the page or document that they are about.

    Args:
        calls: told of the progress.
        pairs: questions.
        pipeline: retrieves, and renders the prompt.
        reader: the stage of the pipeline that answers.
        answerer: the model that answers in it.
        round_trip: whether what is not found again is dropped.

    Source: Alberti et al. 2019, Synthetic QA Corpora Generation with Roundtrip Consistency, arXiv 1906.05416.
    """
    going = [pair for pair in pairs if not pair.dropped]
    steps = [step for step in steps_of(pipeline.nodes) if step.stage is reader]
    stages = {step.id: reader.model_copy(update={"model": answerer}) for step in steps}
    nodes = replace_stages(pipeline.nodes, stages)
    answering = Pipeline(nodes, name=pipeline.name, models=pipeline.models, index=pipeline.index, run=pipeline.settings)
    predictions = answering.predict([(pair.id, pair.question) for pair in going], on_progress=calls.on_progress)
    answered = {}
    for pair, prediction in zip(going, predictions, strict=True):
        if prediction.error is not None:
            error = prediction.error
            answered[pair.id] = pair.drop(f"answer failed: {error['stage']}: {error['type']}: {error['message']}")
            continue
        numbers = {passage.id: number for number, passage in enumerate(prediction.context, 1)}
        cited = tuple(sorted({numbers[c.passage] for c in prediction.citations if c.passage in numbers}))
        found = any(evidence_of(passage) == pair.section.evidence for passage in prediction.context)
        new = replace(pair, answer=prediction.answer or "", cited=cited, passages=prediction.context)
        new = new.measured(section_found=float(found))
        if round_trip and not found:
            new = new.drop(NOT_FOUND)
        answered[pair.id] = new if new.answer else new.drop(ABSTAINED)
    return [answered.get(pair.id, pair) for pair in pairs]


def measure_answers(
    calls: Calls,
    pairs: Sequence[Pair],
    grader: measures.Grader,
    counter: LanguageModel,
    *,
    min_support: float,
    min_groundedness: float,
) -> list[Pair]:
    """Measure answers, and drop those that their passages do not bear; what too few words bear is not graded."""

    async def measure(pair: Pair) -> Pair:
        found = measures.support(pair.answer, (passage.page_content for passage in pair.passages))
        counted = pair.measured(support=found, answer_tokens=await counter.count_tokens(pair.answer))
        if found < min_support:
            return counted.drop(LOW_SUPPORT)
        grades = await asyncio.gather(*(grader.answer(pair, name) for name in measures.ANSWER_GRADES))
        graded = counted.measured(**dict(zip(measures.ANSWER_GRADES, grades, strict=True)))
        return graded.drop(LOW_GROUNDEDNESS) if graded.measures["groundedness"] < min_groundedness else graded

    return calls.advance(pairs, measure, "answer's grades")

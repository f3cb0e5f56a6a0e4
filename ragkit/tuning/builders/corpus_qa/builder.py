"""The data builder `corpus_qa`, for corpora that nobody has asked questions about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from ragkit.engine.cache import project_cache
from ragkit.engine.calls import OnProgress
from ragkit.engine.jsonl import dump_line
from ragkit.engine.registry import builders
from ragkit.engine.run_folder import replace_file
from ragkit.errors import InputError
from ragkit.evaluation.judges.grading import Mode
from ragkit.evaluation.split import Part
from ragkit.evaluation.variants import folder_name
from ragkit.models.base import Encoder, LanguageModel, Prompt
from ragkit.pipeline import Pipeline
from ragkit.prompts import prompt_setting, render
from ragkit.stages.answer import AnswerRead
from ragkit.tuning.builders.corpus_qa import making, measures, writing
from ragkit.tuning.builders.corpus_qa.pairs import Pair
from ragkit.tuning.builders.corpus_qa.report import CorpusReport, report
from ragkit.tuning.builders.corpus_qa.sections import Section, choose_sections
from ragkit.tuning.builders.reader import reader_of
from ragkit.tuning.data import BuildContext, DataBuilder
from ragkit.tuning.rows import Row, SftRow


@dataclass(frozen=True, slots=True)
class Made:
    """What was made of one corpus: all pairs, the dropped ones with their reason, and what became of them."""

    pairs: tuple[Pair, ...]
    report: CorpusReport

    @property
    def kept(self) -> list[Pair]:
        """The pairs that were not dropped."""
        return [pair for pair in self.pairs if not pair.dropped]


@builders.register("corpus_qa")
class CorpusQA(DataBuilder):
    """Questions about sections of the sets' documents, answered by the pipeline; the sets' own questions are not used.

    Sections are chosen from the documents of the part (split by document id) and tagged with facets; a question is
    written from each section and its facets; each question is then answered by itself, from what the pipeline
    retrieves for it out of the whole corpus, by `answerer` in the place of the reader. Questions and answers are
    measured and filtered. A row is the reader's own prompt with the answer that was kept.

    For each set and part the run's folder gets `corpus_qa.<set>.<part>.json`, the report, and `.jsonl`, every question
    with its answer, measures and the reason why it was dropped.

    Source: Balaguer et al. 2024, RAG vs Fine-tuning: Pipelines, Tradeoffs, and a Case Study on Agriculture,
    arXiv 2401.08406.
    """

    makes: ClassVar[type[Row]] = SftRow

    model: LanguageModel = Field(description="who tags sections, writes questions and grades")
    answerer: LanguageModel | None = Field(None, description="who answers; by default `model`")
    encoder: Encoder | None = Field(None, description="says which questions are alike; without it nothing does")
    sections: int = Field(200, ge=1, description="sections of each set that questions are written about, for training")
    held_out_sections: int = Field(50, ge=1, description="the same for the validation and for the test part")
    questions_per_section: int = Field(2, ge=1, description="questions about each section")
    min_words: int = Field(40, ge=1, description="words of a section that is worth a question")
    temperature: float = Field(0.7, ge=0, description="of the questions; 0 writes the same one again and again")
    facets: dict[str, tuple[str, ...]] = Field(
        {"topic": ()}, description="tags of a section, each with its values; without values the model finds one"
    )
    facet_prompt: Annotated[str, prompt_setting(*writing.FACET_VALUES)] = Field(
        "corpus.facet", description="packaged prompt, or path of a .jinja file"
    )
    question_prompt: Annotated[str, prompt_setting(*writing.QUESTION_VALUES)] = Field(
        "corpus.question", description="packaged prompt, or path of a .jinja file"
    )
    grade_question_prompt: Annotated[str, prompt_setting(*measures.QUESTION_GRADED)] = Field(
        "corpus.grade_question", description="packaged prompt, or path of a .jinja file"
    )
    grade_answer_prompt: Annotated[str, prompt_setting(*measures.ANSWER_GRADED)] = Field(
        "corpus.grade_answer", description="packaged prompt, or path of a .jinja file"
    )
    groundedness_prompt: Annotated[str, prompt_setting(*measures.GROUNDEDNESS_GRADED)] = Field(
        "judge.faithfulness", description="packaged prompt, or path of a .jinja file"
    )
    grading: Mode = Field(
        "choose", description="'reply': a reason and a grade as JSON; 'choose': expected grade by log-probabilities"
    )
    min_coverage: float = Field(0.5, ge=0, le=1, description="the least grade of how far a section answers a question")
    min_groundedness: float = Field(0.5, ge=0, le=1, description="the least grade of how far passages bear an answer")
    min_support: float = Field(0.5, ge=0, le=1, description="the least share of an answer's words in its passages")
    round_trip: bool = Field(
        False, description="drop questions for which the pipeline does not find the page or document they are about"
    )
    max_similarity: float = Field(0.95, ge=-1, le=1, description="the largest cosine of two questions")
    cite: bool = Field(True, description="answers end with the numbers of the passages that they cite")
    closed_book_prompt: Annotated[str, prompt_setting("question", "abstain")] | None = Field(
        None, description="prompt without passages; if it is named, each pair gives a second row with it"
    )

    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        rows: list[Row] = []
        whys: list[str] = []
        for opened in context.sets(part):
            made = self.make(opened.pipeline, context.model, part, context.seed, context.on_progress)
            record = context.folder / f"corpus_qa.{folder_name(opened.name)}.{part}"
            replace_file(record.with_name(f"{record.name}.json"), made.report.to_json().encode())
            replace_file(
                record.with_name(f"{record.name}.jsonl"), b"".join(dump_line(pair.to_row()) for pair in made.pairs)
            )
            whys.append(f"{opened.name}: {made.report.why()}")
            reader = reader_of(opened.pipeline, context.model)
            rows += [row for pair in made.kept for row in self._rows(pair, reader, opened.name)]
        if not rows and part == "train":
            raise InputError(f"corpus_qa: nothing is left to train on ({'; '.join(whys)}); see {context.folder}")
        return rows

    def make(self, pipeline: Pipeline, model: str, part: Part, seed: int, on_progress: OnProgress) -> Made:
        """Return questions about the documents of a part, with answers.

        Args:
            pipeline: with an index of the documents; prepared.
            model: name of the model that reads passages in the pipeline.
            part: whose documents.
            seed: of the choice of sections and of the questions.
            on_progress: told of every long step.

        Raises:
            InputError: the pipeline has no such reader or index.
            RagkitError: a model could not be opened, or no call of a step succeeded.
        """
        reader = reader_of(pipeline, model)
        most = self.sections if part == "train" else self.held_out_sections
        sections = choose_sections(pipeline.index, part, most=most, min_words=self.min_words, seed=seed)
        with project_cache(wanted=pipeline.settings.cache) as cache:
            calls = making.Calls(cache, on_progress)
            facets = making.tag_sections(calls, sections.chosen, self.model, self.facet_prompt, self.facets)
            pairs = self._pairs(calls, sections.chosen, [own or {} for own in facets], pipeline, reader, seed)
        return Made(tuple(pairs), report(sections, facets.count(None), pairs))

    def _pairs(
        self,
        calls: making.Calls,
        sections: Sequence[Section],
        facets: Sequence[dict[str, str]],
        pipeline: Pipeline,
        reader: AnswerRead,
        seed: int,
    ) -> list[Pair]:
        prompts = (self.grade_question_prompt, self.grade_answer_prompt, self.groundedness_prompt)
        grader = measures.Grader(self.model, *prompts, self.grading)
        pairs = making.write_questions(
            calls,
            sections,
            facets,
            self.model,
            self.question_prompt,
            each=self.questions_per_section,
            temperature=self.temperature,
            seed=seed,
        )
        pairs = making.measure_questions(calls, pairs, grader, self.model, self.min_coverage)
        if self.encoder is not None:
            pairs = making.compare_questions(calls, pairs, self.encoder, self.max_similarity)
        answerer = self.answerer or self.model
        pairs = making.answer_questions(calls, pairs, pipeline, reader, answerer, round_trip=self.round_trip)
        return making.measure_answers(
            calls,
            pairs,
            grader,
            self.model,
            min_support=self.min_support,
            min_groundedness=self.min_groundedness,
        )

    def _rows(self, pair: Pair, reader: AnswerRead, name: str) -> list[SftRow]:
        origin = {"set": name, "question": pair.id, "section": pair.section.id, "facets": pair.facets, "kind": "read"}
        markers = f" [{', '.join(map(str, pair.cited))}]" if self.cite and pair.cited else ""
        read = render(reader.prompt, question=pair.question, passages=pair.passages, abstain=reader.abstain)
        rows = [SftRow(prompt=read, completion=_continuation(read, pair.answer + markers), origin=origin)]
        if self.closed_book_prompt is not None:
            bare = render(self.closed_book_prompt, question=pair.question, abstain=reader.abstain)
            origin = origin | {"kind": "closed_book"}
            rows.append(SftRow(prompt=bare, completion=_continuation(bare, pair.answer), origin=origin))
        return rows


def _continuation(prompt: Prompt, answer: str) -> str:
    """Return an answer as it goes on from a prompt: a text goes on with a blank, a chat turn begins with the word."""
    return f" {answer}" if isinstance(prompt, str) else answer

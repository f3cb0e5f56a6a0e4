"""Training data for the Knowledge Filter: which passages of a question are evidence."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from ragkit.engine.registry import builders
from ragkit.errors import InputError
from ragkit.evaluation.split import Part
from ragkit.models.base import ENTAILMENT
from ragkit.stages.filter import FilterKnowledge, spelt_labels
from ragkit.tuning.builders.passages import Pool, draw, pools_of, stages_of
from ragkit.tuning.data import BuildContext, DataBuilder, TuningSet
from ragkit.tuning.rows import EvidenceRow, Row, SftRow

_TITLE = "title"


class _OfPools(DataBuilder):
    """What both builders share.

    Attributes:
        k: passages to search for, beside those that a set gives along with a question.
    """

    k: int = Field(20, ge=1, description="passages to search for, beside those given along with a question")

    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        rows: list[Row] = []
        for opened in context.sets(part):
            stage = _filter_of(opened, context.model)
            for pools in pools_of(opened, self.k, context):
                rows += self.rows_of(pools, opened.name, stage, context.seed)
        if not rows:
            raise InputError("no row could be made: the questions have no gold evidence (supporting_ids)")
        return rows

    @abstractmethod
    def rows_of(self, pools: Sequence[Pool], name: str, stage: FilterKnowledge, seed: int) -> Sequence[Row]:
        """Return the rows of the passages of one question, found and given."""


@builders.register("knowledge_filter")
class KnowledgeFilterRows(_OfPools):
    """A prompt of the filter about a passage, with its label, for a language model.

    Gold passages entail. The others of the question are neutral: they are about the same things, and do not serve.
    There are as many of these as `negatives` says, half of them the likeliest found ones and the rest drawn at random,
    so that labels are balanced. Nothing is labelled a contradiction: a passage cannot contradict a question, and the
    sets have no answers that are disputed.

    Source: Shi et al. 2024 (ERM4), arXiv 2407.10670, tunes its filter on labels of which nothing more is published;
    what entails, and the balance, are ragkit's.
    """

    makes: ClassVar[type[Row]] = SftRow

    negatives: float = Field(1.0, ge=0, description="neutral passages for each gold one")

    def rows_of(self, pools: Sequence[Pool], name: str, stage: FilterKnowledge, seed: int) -> Sequence[Row]:
        question = pools[0].question
        judged = {
            passage.id: (passage, gold)
            for pool in pools
            for passage, gold in zip(pool.passages, pool.gold, strict=True)
        }
        gold = [passage for passage, is_gold in judged.values() if is_gold]
        others = [passage for passage, is_gold in judged.values() if not is_gold]
        wanted = round(self.negatives * len(gold))
        hard = others[: wanted // 2]
        rest = sorted(others[wanted // 2 :], key=lambda passage: draw(seed, question.id, passage.id))
        labels = [(passage, ENTAILMENT[0]) for passage in gold]
        labels += [(passage, ENTAILMENT[1]) for passage in [*hard, *rest][:wanted]]
        rows: list[Row] = []
        for passage, label in labels:
            prompt = stage.render(question.question, passage)
            completion = next(text for text, meant in spelt_labels(prompt).items() if meant == label)
            origin = {"set": name, "question": question.id, "passage": passage.id, "label": label}
            rows.append(SftRow(prompt=prompt, completion=completion, origin=origin))
        return rows


@builders.register("evidence")
class EvidenceRows(_OfPools):
    """A question with its passages and which of them are gold evidence, for a model that judges them together.

    Some lists have no titles, so that the model learns to do without them.
    """

    makes: ClassVar[type[Row]] = EvidenceRow

    untitled: float = Field(0.2, ge=0, le=1, description="share of the lists whose titles are left out")

    def rows_of(self, pools: Sequence[Pool], name: str, stage: FilterKnowledge, seed: int) -> Sequence[Row]:
        rows = []
        for pool in pools:
            titled = stage.title and draw(seed, pool.question.id, pool.origin, _TITLE) >= self.untitled
            passages = tuple(
                (str(passage.metadata.get(_TITLE) or "") if titled else "", passage.page_content)
                for passage in pool.passages
            )
            origin = {"set": name, "question": pool.question.id, "from": pool.origin}
            rows.append(
                EvidenceRow(question=pool.question.question, passages=passages, evidence=pool.gold, origin=origin)
            )
        return rows


def _filter_of(opened: TuningSet, model: str) -> FilterKnowledge:
    """Return the filter of a set's pipeline that asks the model to be tuned.

    Raises:
        InputError: there is none.
    """
    tuned = opened.pipeline.models[model]
    for stage in stages_of(opened, FilterKnowledge):
        if isinstance(stage, FilterKnowledge) and tuned in (stage.model, stage.nli):
            return stage
    raise InputError(f"the pipeline '{opened.pipeline.name}' has no filter.knowledge that asks the model '{model}'")

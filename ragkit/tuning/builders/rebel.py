"""Rows that teach a small model to score a passage by a digit, as `rerank.rebel` asks for it."""

import functools
import random
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from ragkit.engine.nodes import Node, Step
from ragkit.engine.registry import builders
from ragkit.engine.run import Asked
from ragkit.engine.state import Documents
from ragkit.engine.tasks import run_tasks
from ragkit.errors import InputError, RagkitError
from ragkit.evaluation.split import Part
from ragkit.models.base import Prompt
from ragkit.pipeline import Pipeline
from ragkit.stages.rebel import RerankRebel
from ragkit.tuning.data import BuildContext, DataBuilder
from ragkit.tuning.rows import Row, SftRow


@builders.register("rebel")
class RebelRows(DataBuilder):
    """A prompt about a passage and a criterion, and the digit that the passage's metadata gives for it.

    It is for `scoring: expected`. The passages are those that the steps before `rerank.rebel` find. Where the digits
    come from is yours to say: planted, from people, or from a larger model. In the rows of a corpus they are written
    `{"grades": {"relevance": 4, "recency": 1}}`, and go from 0 to 5, that of relevance too.
    """

    makes: ClassVar[type[Row]] = SftRow

    field: str = Field("grades", description="metadata field with the digits of a passage, by criterion")
    per_question: int = Field(8, ge=1, description="rows of each question, drawn from all that there are")

    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        rows: list[Row] = []
        for opened in context.sets(part):
            before, stage = _split_at_rebel(opened.pipeline, context.model)
            asked = [Asked(question.id, question.question, question.vars) for question in opened.questions]
            found = before.predict(asked, on_progress=context.on_progress)
            tasks = [functools.partial(self._prompts, stage, one.question, one.documents) for one in found]
            outcomes = run_tasks(tasks, name="prompts", on_progress=context.on_progress)
            for one, outcome in zip(found, outcomes, strict=True):
                if outcome.error is not None:
                    raise RagkitError(f"the prompts of question '{one.id}' could not be made: {outcome.error}")
                draw = random.Random(f"{context.seed} {one.id}")  # noqa: S311 - not for secrets
                drawn = draw.sample(outcome.value, min(self.per_question, len(outcome.value)))
                rows += [
                    SftRow(
                        prompt=prompt,
                        completion=digit,
                        origin={"set": opened.name, "question": one.id, "criterion": name, "digit": digit},
                    )
                    for prompt, digit, name in drawn
                ]
        if not rows:
            raise InputError(f"no passage has digits under '{self.field}' in its metadata")
        random.Random(context.seed).shuffle(rows)  # noqa: S311 - not for secrets
        return rows

    async def _prompts(self, stage: RerankRebel, question: str, documents: Documents) -> list[tuple[Prompt, str, str]]:
        """Return the prompts of the passages that have digits, with digit and criterion."""
        made = []
        for document, prompts in zip(documents, await stage.digit_prompts(question, documents), strict=True):
            grades = document.metadata.get(self.field)
            for name, prompt in prompts.items():
                digit = grades.get(name) if isinstance(grades, dict) else None
                if isinstance(digit, int) and 0 <= digit <= 5:
                    made.append((prompt, f" {digit}" if isinstance(prompt, str) else str(digit), name))
        return made


def _split_at_rebel(pipeline: Pipeline, model: str) -> tuple[Pipeline, RerankRebel]:
    """Return what comes before the reranker that a model scores for, and that reranker.

    Raises:
        InputError: there is none outside control nodes, or it works in another way.
    """
    before: list[Node] = []
    for node in pipeline.nodes:
        if isinstance(node, Step) and isinstance(node.stage, RerankRebel):
            stage = node.stage
            if stage.model is pipeline.models[model] and stage.scoring == "expected" and stage.mode == "one_turn":
                made = Pipeline(before, name=pipeline.name, models=pipeline.models, index=pipeline.index)
                return made, stage
        before.append(node)
    raise InputError(
        f"the pipeline '{pipeline.name}' has no step rerank.rebel with the model '{model}', mode: one_turn and "
        "scoring: expected"
    )

"""What an agent's way found of the gold evidence, search by search."""

from collections.abc import Collection, Iterable, Sequence

from ragkit.engine.controls import steps_of
from ragkit.engine.state import Passage
from ragkit.errors import InputError
from ragkit.evaluation.metrics.ranking import matched
from ragkit.evaluation.prediction import RankedPassage
from ragkit.pipeline import Pipeline
from ragkit.stages.agents.trajectory import Turn
from ragkit.stages.react import AgentReact


def agent_of(pipeline: Pipeline, model: str) -> tuple[str, AgentReact]:
    """Return the step that a model is the agent or the stopper of, with its id.

    Raises:
        InputError: there is none.
    """
    for step in steps_of(pipeline.nodes):
        stage = step.stage
        if isinstance(stage, AgentReact) and any(pipeline.models[model] is one for one in (stage.model, stage.stopper)):
            return step.id, stage
    raise InputError(f"the pipeline '{pipeline.name}' has no step agent.react with the model '{model}'")


def found_units(passages: Iterable[Passage], gold: Collection[str]) -> set[str]:
    """Return the gold passages, pages or documents that are among passages."""
    return {unit for passage in passages for unit in matched(_row(passage), gold)}


def _row(passage: Passage) -> RankedPassage:
    metadata = passage.metadata
    return {
        "id": passage.id, "score": None, "text": "", "document": metadata.get("document") or passage.id,
        "page": metadata.get("page"),
    }  # fmt: skip


def recall(passages: Iterable[Passage], gold: Collection[str]) -> float:
    """Return the share of the gold units that are among passages; of none, 0."""
    return len(found_units(passages, gold)) / len(gold) if gold else 0.0


def recalls(turns: Sequence[Turn], gold: Collection[str]) -> list[float]:
    """Return the recall after each search that brought at least one passage."""
    passages: list[Passage] = []
    values = []
    for turn in turns:
        passages += turn.passages
        if turn.new is not None and turn.passages:
            values.append(recall(passages, gold))
    return values


def candidate_scores(
    found: Sequence[Passage], candidates: Sequence[Sequence[Passage] | None], gold: Collection[str]
) -> list[float]:
    """Return the recall that each candidate search would bring, beside what was found before it.

    Each is scored by itself: nothing that another candidate found counts for it.

    Args:
        found: the passages before.
        candidates: what each candidate found; None for one that finishes or failed, which scores -1.
        gold: the gold units.
    """
    return [-1.0 if own is None else recall([*found, *own], gold) for own in candidates]

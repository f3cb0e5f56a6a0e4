"""Short ways to write questions and predictions."""

from typing import Any

from ragkit.evaluation.prediction import PredictionRow, RankedPassage
from ragkit.evaluation.questions import Question


def passage(identifier: str, document: str | None = None, page: int | None = None) -> RankedPassage:
    made: RankedPassage = {"id": identifier, "score": 0.5, "text": f"text of {identifier}"}
    if document is not None:
        made |= {"source": document, "document": document}
    return made if page is None else made | {"page": page}


def question(
    identifier: str = "1", answers: tuple[str, ...] = (), gold: tuple[str, ...] = (), **fields: Any
) -> Question:
    return Question(id=identifier, question=f"question {identifier}?", answers=answers, supporting_ids=gold, **fields)


def prediction(
    identifier: str = "1", answer: str | None = None, documents: tuple[RankedPassage, ...] = (), **fields: Any
) -> PredictionRow:
    made: dict[str, Any] = {
        "id": identifier,
        "question": f"question {identifier}?",
        "answer": answer,
        "documents": list(documents),
        "context": [passage["id"] for passage in documents],
        "citations": [],
        "usage": {"searches": 1, "model_calls": 2, "prompt_tokens": 30, "completion_tokens": 4},
        "flags": [],
        "error": None,
        **fields,
    }
    return made  # type: ignore[return-value]


FAILURE = {"stage": "answer.read", "type": "ValueError", "message": "no JSON in the reply"}

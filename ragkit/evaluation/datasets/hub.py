"""Question sets of the Hugging Face hub, read with the package `datasets`.

Mirrors of a set go by many names, so the form of a row is known by its columns, not by the set's name:

| form | columns | sets |
|---|---|---|
| HotpotQA | question, answer, supporting_facts {title, sent_id} | hotpotqa/hotpot_qa, 2WikiMultihopQA |
| MuSiQue | question, answer, answer_aliases, paragraphs [{title, paragraph_text, is_supporting}] | MuSiQue |
| TriviaQA | question, answer {value, aliases} | mandarjoshi/trivia_qa |
| PopQA | question, possible_answers (a list written as JSON) | akariasai/PopQA |
| SQuAD | question, answers {text, answer_start}, title | rajpurkar/squad, rajpurkar/squad_v2 |
| FlashRAG | question, golden_answers | RUC-NLPIR/FlashRAG_datasets |
| plain | question, answer or answers (one text or a list) | nq_open, web_questions, Bamboogle ... |

Gold ids are titles (HotpotQA, MuSiQue, SQuAD, FlashRAG): they fit a corpus whose documents are named by their titles.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ragkit.errors import InputError, need
from ragkit.evaluation.datasets.fields import texts
from ragkit.evaluation.datasets.flashrag import flashrag_question
from ragkit.evaluation.questions import Question, collect, question_of

_SPLITS = ("train", "validation", "dev", "test")
_IDS = ("id", "_id", "question_id", "qid")

Row = Mapping[str, Any]


def read_hub(place: str, limit: int | None = None) -> list[Question]:
    """Read questions of a set of the hub, or of a local folder of the same form.

    Args:
        place: `name`, `name:split`, `name:config` or `name:config:split`; the split is `validation` by default.
        limit: only the first so many questions.

    Raises:
        MissingPackageError: the package `datasets` is not installed.
        InputError: the set cannot be loaded, or its rows are of no known form.
    """
    datasets = need("datasets", "'ragkit[hub]'", "reading a set of the Hugging Face hub")
    name, config, split = _split(place)
    wanted = split if limit is None else f"{split}[:{limit}]"
    try:
        rows = datasets.load_dataset(name, config, split=wanted)
    except Exception as error:  # noqa: BLE001 - `datasets` raises a dozen kinds: no network, no set, no split ...
        raise InputError(f"hf:{place}: cannot be loaded: {type(error).__name__}: {error}") from None
    return collect(Path(f"hf:{place}"), enumerate(rows, 1), hub_question, limit)


def _split(place: str) -> tuple[str, str | None, str]:
    name, *rest = place.split(":")
    if len(rest) > 2 or not name or not all(rest):
        raise InputError(f"hf:{place}: write it as hf:name, hf:name:config or hf:name:config:split")
    if len(rest) == 1:
        return (name, None, rest[0]) if rest[0].partition("[")[0] in _SPLITS else (name, rest[0], "validation")
    return (name, rest[0], rest[1]) if rest else (name, None, "validation")


def hub_question(row: Row, number: int) -> Question:
    """Return the question of a row, whichever of the known forms it has.

    Raises:
        ValueError: it has none of them.
    """
    lower = {key.lower(): value for key, value in row.items()}
    if "question" not in lower:
        raise ValueError(f"no column 'question' (columns: {', '.join(row)})")
    for fits, read in _FORMS:
        if fits(lower):
            found = read(lower)
            identifier = next((lower[key] for key in _IDS if lower.get(key) not in (None, "")), None)
            own = {} if identifier is None else {"id": str(identifier)}
            return question_of({"question": lower["question"], **own, **found}, number)
    if "golden_answers" in lower:
        return flashrag_question(dict(lower), number)
    raise ValueError(f"no known form of gold answers (columns: {', '.join(row)})")


def _hotpot(row: Row) -> dict[str, Any]:
    facts = row["supporting_facts"]
    # The hub's form holds two lists, the original files a list of pairs.
    pairs = list(zip(facts["title"], facts["sent_id"], strict=True)) if isinstance(facts, Mapping) else facts
    return {
        "answers": texts(row["answer"]),
        "supporting_ids": list(dict.fromkeys(title for title, _ in pairs)),
        "type": str(row.get("type") or ""),
        "supporting_sentences": [{"id": title, "sent": int(sentence)} for title, sentence in pairs],
    }


def _musique(row: Row) -> dict[str, Any]:
    return {
        "answers": list(dict.fromkeys([*texts(row["answer"]), *texts(row.get("answer_aliases"))])),
        "supporting_ids": list(dict.fromkeys(p["title"] for p in row["paragraphs"] if p["is_supporting"])),
        "type": str(row.get("id") or "").partition("__")[0],
        "answerable": bool(row.get("answerable", True)),
    }


def _trivia(row: Row) -> dict[str, Any]:
    answer = row["answer"]
    return {"answers": list(dict.fromkeys([*texts(answer["value"]), *texts(answer.get("aliases"))]))}


def _popqa(row: Row) -> dict[str, Any]:
    found = {"answers": texts(row["possible_answers"]), "type": str(row.get("prop") or "")}
    return found | {key: row[key] for key in ("s_pop", "o_pop") if key in row}


def _squad(row: Row) -> dict[str, Any]:
    answers = list(dict.fromkeys(texts(row["answers"]["text"])))
    titles = texts(row["title"]) if row.get("title") and answers else []
    return {"answers": answers, "supporting_ids": titles, "answerable": bool(answers)}


def _plain(row: Row) -> dict[str, Any]:
    return {"answers": texts(row["answers"] if "answers" in row else row["answer"])}


_FORMS: tuple[tuple[Callable[[Row], bool], Callable[[Row], dict[str, Any]]], ...] = (
    (lambda row: "supporting_facts" in row and "answer" in row, _hotpot),
    (lambda row: "paragraphs" in row and "answer" in row, _musique),
    (lambda row: isinstance(row.get("answer"), Mapping) and "value" in row["answer"], _trivia),
    (lambda row: "possible_answers" in row, _popqa),
    (lambda row: isinstance(row.get("answers"), Mapping) and "text" in row["answers"], _squad),
    (lambda row: "golden_answers" not in row and ("answers" in row or "answer" in row), _plain),
)

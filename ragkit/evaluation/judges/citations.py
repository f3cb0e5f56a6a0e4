"""Do the cited passages say what the answer says? Citation recall and precision by entailment."""

import asyncio
from typing import Annotated, Any

from pydantic import Field, model_validator

from ragkit.engine.registry import judges
from ragkit.errors import RagkitError
from ragkit.evaluation.evidence import holds_answer
from ragkit.evaluation.judges.base import Judge, Judgement, NameOf, settled
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question
from ragkit.models.base import EntailmentModel, LanguageModel
from ragkit.prompts import prompt_setting
from ragkit.stages.recite import entails_by

RECALL, PRECISION = "recall", "precision"


@judges.register("citations")
class CitationJudge(Judge):
    """Citation recall and precision by entailment, with an NLI model or a language model, or by containment.

    Recall: the share of the answer's sentences that their cited passages, together, entail. Precision: the share of the
    citations that are needed: those of a sentence that is entailed, without those that alone do not entail it and
    without which the others still do. An answer that cites nothing scores 0; an abstention has no value. Citations are
    of the whole answer, so every sentence has all of them.

    The question stands before each sentence, because a short answer says nothing without it (ALCE does so for its
    lists of short answers); containment, which asks no model, leaves it out, and says something about short answers
    only. The details list sentences without support, and citations that do not support.

    Source: Gao et al. 2023 (ALCE), arXiv 2305.14627, `compute_autoais` of its eval.py.
    """

    nli: EntailmentModel | None = Field(None, description="an entailment model")
    model: LanguageModel | None = Field(None, description="a language model that chooses among three labels, instead")
    containment: bool = Field(False, description="instead: passages entail a sentence if they hold its words")
    prompt: Annotated[str, prompt_setting("premise", "hypothesis", "labels")] = Field(
        "judge.entailment", description="what the language model is asked"
    )
    language: str = Field("en", description="of the answers (ISO 639-1), to split them into sentences")

    @model_validator(mode="after")
    def _check(self) -> "CitationJudge":
        if (self.nli is not None) + (self.model is not None) + self.containment != 1:
            raise ValueError(
                "name one of 'nli' (an entailment model), 'model' (a language model) or 'containment: true'"
            )
        return self

    def figures(self, name_of: NameOf) -> tuple[str, ...]:
        return (RECALL, PRECISION)

    async def judge(self, question: Question, prediction: PredictionRow, name_of: NameOf) -> Judgement:
        known, value = settled(question, prediction, needs_gold=False)
        if known:
            return Judgement({RECALL: value, PRECISION: value})
        cited = list(dict.fromkeys(citation["passage"] for citation in prediction["citations"]))
        texts = {passage["id"]: passage["text"] for passage in prediction["documents"] if passage["id"] in cited}
        if missing := [name for name in cited if name not in texts]:
            raise RagkitError(f"'{missing[0]}' is cited, but the prediction does not hold its text")
        sentences = split_sentences(prediction["answer"] or "", self.language)
        found = await asyncio.gather(*(self._sentence(question.question, s, cited, texts) for s in sentences))
        needed = sum(len(sentence["needed"]) for sentence in found)
        citations = len(cited) * len(sentences)
        supporting = {name for sentence in found for name in sentence["needed"]}
        return Judgement(
            {
                RECALL: sum(sentence["supported"] for sentence in found) / len(sentences),
                PRECISION: needed / citations if citations else 0.0,
            },
            details={
                "sentences": found,
                "unsupported_sentences": [s["sentence"] for s in found if not s["supported"]],
                "cited_but_unsupported": [name for name in cited if name not in supporting],
            },
        )

    async def _sentence(self, question: str, sentence: str, cited: list[str], texts: dict[str, str]) -> dict[str, Any]:
        """Return whether a sentence is entailed by all that is cited, and which citations it needs."""
        statement = f"{question} {sentence}"

        async def entails(names: list[str]) -> bool:
            if not names:
                return False
            if self.containment:
                return holds_answer([texts[name] for name in names], [sentence])
            premise = "\n".join(texts[name] for name in names)
            return await entails_by(self.nli or self.model, premise, statement, self.prompt)

        async def is_needed(name: str) -> bool:
            return await entails([name]) or not await entails([other for other in cited if other != name])

        supported = await entails(cited)
        needed: list[str] = []
        if supported and len(cited) > 1:
            needs = await asyncio.gather(*map(is_needed, cited))
            needed = [name for name, need in zip(cited, needs, strict=True) if need]
        elif supported:
            needed = cited
        return {"sentence": sentence, "supported": supported, "needed": needed}


def split_sentences(text: str, language: str = "en") -> list[str]:
    """Return the sentences of a text that is not blank."""
    from sentencex import segment

    return [sentence for piece in segment(language, text) if (sentence := piece.strip())]

"""Responses to imitate: what people write when they contradict, and a true statement that the evidence supports."""

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from ragkit.engine.registry import builders
from ragkit.engine.state import Passage
from ragkit.errors import InputError
from ragkit.evaluation.questions import Question
from ragkit.evaluation.split import Part
from ragkit.index.local import LocalIndex
from ragkit.stages.refuting.response import read_response, words
from ragkit.tuning.builders.rarg.claims import Claim, ClaimBuilder, none_found
from ragkit.tuning.builders.rarg.replies import Reply, read_replies
from ragkit.tuning.data import BuildContext, TuningSet
from ragkit.tuning.rows import Row, SftRow

_VERDICT = re.compile(
    r"\b(?:false|untrue|incorrect|inaccurate|wrong|misleading|myth|not (?:true|correct|right|accurate))\b",
    re.IGNORECASE,
)
_INVITATION = re.compile(
    r"\b(?:please|hope|could you)\b.*\b(?:check|refer|look|read|careful|rational|trust|consult)", re.IGNORECASE
)
_BEFORE_STOP = re.compile(r"\s+([,.;:!?])")
_GENERAL_WORDS = (
    "this that it it's the a is was not isn't of what some all said to say true correct right accurate false untrue "
    "incorrect inaccurate wrong misleading myth just only simply actually well sorry unfortunately no but statement "
    "and information message argument assertion story please hope could check refer look at read careful carefully be "
    "rational trust consult official reliable sources source trustworthy science for more first facts i can scientific "
    "evidence into"
)
_GENERAL = frozenset(_GENERAL_WORDS.split())
_VERDICT_WORDS, _INVITATION_WORDS, _STATEMENT_WORDS = 8, 10, 45
_QUOTE_WORDS = (8, 30)


@builders.register("rarg_sft")
class RargResponses(ClaimBuilder):
    """Responses as `answer.refute` asks for them: a verdict, what is true with its source, an invitation.

    No set tells a claim, its evidence and a good response together, so rows are put together of what people wrote: the
    verdict and the invitation are sentences of replies to false posts (`replies`; only those of general words), the
    statement is the true claim that a set has beside a false one on the same source (`group`), which cites the gold
    passage, and so does the sentence of it that is nearest to that. `pairs` of a false claim and a sentence that
    corrects it give further rows, with that sentence as a passage. Replies and pairs go by the part of their post.

    Source: a warm start on (claim, evidence, response) is what arXiv 2509.01058 does with MisinfoCorrect's pairs
    before its RL; how these rows are put together is ragkit's.
    """

    makes: ClassVar[type[Row]] = SftRow

    supported: tuple[str, ...] = Field(
        ("SUPPORTED", "Supports", "SUPPORT"), description="gold answers of the claims that are true"
    )
    group: str = Field("group", min_length=1, description="field that claims about one source share in their rows")
    replies: str = Field(description="file of replies to false posts, seen from the set's folder")
    pairs: str | None = Field(None, description="file of false claims with what corrects them, seen from there too")
    invited: float = Field(0.5, ge=0, le=1, description="share of responses that end with an invitation")

    def build(self, part: Part, context: BuildContext) -> Sequence[Row]:
        rows: list[Row] = []
        for opened in context.sets(part):
            style = _Style(read_replies(self._file(opened, self.replies)).in_part(part))
            if not style.verdicts:
                if part == "train":
                    raise InputError(
                        f"{self.replies}: no reply opens with a short verdict, such as 'This is not true.'"
                    )
                continue
            rows += [
                self._row(claim, statement, style, context.seed)
                for claim, statement in self._true(opened, part, context)
            ]
        if not rows and part == "train":
            raise none_found("response")
        random.Random(context.seed).shuffle(rows)  # noqa: S311 - not for secrets
        return rows

    def _true(self, opened: TuningSet, part: Part, context: BuildContext) -> Iterator[tuple[Claim, str]]:
        """Yield claims with the true statement that a response to each of them makes."""
        statements: dict[str, str] = {}
        for question in opened.questions:
            if set(question.answers) & set(self.supported) and self.group in question.extra:
                statements.setdefault(str(question.extra[self.group]), question.question)
        by_id = {question.id: question for question in opened.questions}
        for claim in self.claims(opened, context):
            statement = statements.get(str(by_id[claim.id].extra.get(self.group)))
            if statement and len(statement.split()) <= _STATEMENT_WORDS:
                yield claim, statement
        if self.pairs is None:
            return
        replies = read_replies(self._file(opened, self.pairs)).in_part(part)
        asked = [(Question(r.key, r.post), (), (_passage(r),)) for r in replies if r.post]
        corrections = {reply.key: read_response(reply.text)[0].text for reply in replies}
        for claim in self.with_evidence(opened, asked, context):
            yield claim, corrections[claim.id]

    def _row(self, claim: Claim, statement: str, style: "_Style", seed: int) -> SftRow:
        draw = random.Random(f"{seed} {claim.id}")  # noqa: S311 - not for secrets
        number = claim.gold[0]
        sentences = [draw.choice(style.verdicts), cited(statement, [number])]
        detail = _nearest(statement, claim.passages[number - 1].page_content)
        if detail:
            sentences.append(cited(detail, [number]))
        if style.invitations and draw.random() < self.invited:
            sentences.append(draw.choice(style.invitations))
        return SftRow(prompt=claim.prompt, completion=" ".join(sentences), origin=claim.origin)

    def _file(self, opened: TuningSet, name: str) -> Path:
        index = opened.pipeline.index
        if not isinstance(index, LocalIndex):
            raise InputError(f"set '{opened.name}': the builder rarg_sft needs an index of type 'local'")
        return Path(index.base) / name


class _Style:
    """How people open and close a reply.

    Attributes:
        verdicts: first sentences that say in few words that something is wrong.
        invitations: last sentences that ask in few words to look something up.
    """

    def __init__(self, replies: Sequence[Reply]) -> None:
        read = [read_response(reply.text) for reply in replies]
        self.verdicts = _fitting((s[0].text for s in read if s), _VERDICT, _VERDICT_WORDS)
        self.invitations = _fitting((s[-1].text for s in read if len(s) > 1), _INVITATION, _INVITATION_WORDS)


def _fitting(sentences: Iterator[str], pattern: re.Pattern[str], longest: int) -> list[str]:
    """Return the sentences that match, are short and name nobody and nothing, once each, as sentences are written."""
    fitting = (
        sentence[0].upper() + " ".join(sentence[1:].split())
        for sentence in sentences
        if len(sentence.split()) <= longest and pattern.search(sentence) and set(words(sentence)) <= _GENERAL
    )
    return [s if s[-1] in ".!?" else f"{s}." for s in dict.fromkeys(fitting)]


def _nearest(statement: str, passage: str) -> str:
    """Return the sentence of a passage that shares most words with a statement, of those that are not too long.

    Empty if none shares any, or if one says just the same.
    """
    own = set(words(statement))
    sentences = [sentence.text for sentence in read_response(passage)]
    fitting = [text for text in sentences if _QUOTE_WORDS[0] <= len(text.split()) <= _QUOTE_WORDS[1]]
    best = max(fitting, key=lambda text: len(own & set(words(text))), default="")
    shared = own & set(words(best))
    return best if shared and shared != own else ""


def cited(statement: str, numbers: Sequence[int]) -> str:
    """Return a statement as a sentence that cites passages before its full stop."""
    text = _BEFORE_STOP.sub(r"\1", statement).strip().rstrip(".!?… ")
    return f"{text[:1].upper()}{text[1:]} [{', '.join(map(str, numbers))}]."


def _passage(reply: Reply) -> Passage:
    return Passage(id=f"pair:{reply.key}", page_content=reply.text, metadata={"source": "pairs"})

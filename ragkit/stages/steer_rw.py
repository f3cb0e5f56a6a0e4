"""Say which passages to trust, then answer from those: one call."""

from typing import Annotated, Any, Literal

from pydantic import Field

from ragkit.engine.calls import flag
from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents
from ragkit.models.base import LanguageModel, Prompt
from ragkit.prompts import prompt_setting
from ragkit.stages.answer import cite, containing, read_reply
from ragkit.stages.steering.asking import GIVEN, ask_verdict, judged, verdict_prompt
from ragkit.stages.steering.verdict import Form

NOTHING_RELIABLE = "steer.rw:nothing_reliable"
"""Flag of a question none of whose passages the model relies on."""

REPAIRED = "steer.rw:repaired"
"""Flag of a question with a verdict that was incomplete or contradicted itself."""


@stage("steer.rw", writes=("answer", "citations", "vars.judgement"))
class SteerRW(Stage):
    """Name the passages not to rely on and those to rely on, and answer from the latter, in one reply.

    The lists are decoded under a grammar or a schema, so that no number is out of range; a number in both lists
    counts as unreliable, one in neither is not relied on. `vars.judgement` holds the ids, and what was wrong with the
    reply. The answer cites a reliable passage that holds it word for word, or the first reliable one.

    An untrained model does this badly: the recipes rw_steering_1 and rw_steering_2 train one.

    Source: "Rescorla-Wagner Steering of LLMs for Undesired Behaviors over Disproportionate Inappropriate Context",
    EMNLP 2025, arXiv 2509.04500; the form of the reply is ragkit's (docs/rw-steering.md says what is whose).
    """

    model: LanguageModel
    form: Form = Field("json", description="text: `Unreliable: 2` under a grammar, for local models | json: any model")
    prompt: Annotated[str, prompt_setting(*GIVEN, needs=("question", "texts"))] = Field(
        "steer.verdict", description="packaged prompt, or path of a .jinja file"
    )
    max_new_tokens: int = Field(64, ge=1, description="the most tokens of the answer; those of the lists come on top")
    sources: bool = Field(False, description="show the model each passage's source")
    abstain: str = Field("unanswerable", min_length=1, description="the answer that counts as abstaining")
    on_nothing: Literal["abstain", "answer"] = Field(
        "abstain", description="when no passage is reliable: give no answer, or the one that the model wrote"
    )

    async def run(self, question: str, documents: Documents, context: Documents | None = None) -> dict[str, Any]:
        """Return the answer, its citations and the judgement."""
        passages = documents if context is None else context
        if not passages:
            nothing: dict[str, list[str]] = {"unreliable": [], "reliable": [], "warnings": []}
            return {"answer": None, "citations": (), "vars.judgement": nothing}
        verdict = await ask_verdict(
            self.model,
            self.filled(question, passages),
            len(passages),
            form=self.form,
            max_new_tokens=self.max_new_tokens,
            with_answer=True,
        )
        if verdict.warnings:
            flag(REPAIRED)
        answer = read_reply((verdict.answer or "").strip(), 0, self.abstain)[0]
        reliable = tuple(passages[number - 1] for number in verdict.reliable)
        if not reliable:
            flag(NOTHING_RELIABLE)
            answer = answer if self.on_nothing == "answer" else None
        cited = (containing(answer, reliable) or list(reliable))[:1] if answer is not None else []
        return {
            "answer": answer,
            "citations": tuple(map(cite, cited)),
            "vars.judgement": judged(verdict, passages),
        }

    def filled(self, question: str, passages: Documents) -> Prompt:
        """Return the prompt for passages."""
        return verdict_prompt(
            self.prompt,
            question,
            passages,
            form=self.form,
            abstain=self.abstain,
            sources=self.sources,
            answers=True,
        )

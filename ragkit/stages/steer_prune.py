"""Judge the passages in a call of its own and hand on only those that are relied on."""

from typing import Annotated, Any

from pydantic import Field

from ragkit.engine.calls import flag
from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents
from ragkit.models.base import LanguageModel
from ragkit.prompts import prompt_setting
from ragkit.stages.steering.asking import GIVEN, ask_verdict, judged, verdict_prompt
from ragkit.stages.steering.pruning import OnNothing, kept
from ragkit.stages.steering.verdict import Form

REPAIRED = "steer.prune:repaired"
"""Flag of a question with a verdict that was incomplete or contradicted itself."""


@stage("steer.prune", writes=("documents", "vars.judgement"))
class SteerPrune(Stage):
    """Have a model name the passages to rely on, and drop the others: judge, prune, and the next stage answers.

    A model that answers in the same breath may ignore its own judgement; here the answering model never sees what
    was dropped. Place it before `context.pack`. Without any reliable passage nothing is handed on, which readers
    answer by abstaining.

    Source: ragkit's; the judgement is that of RW-Steering, arXiv 2509.04500.
    """

    model: LanguageModel
    form: Form = Field("json", description="text: `Unreliable: 2` under a grammar, for local models | json: any model")
    prompt: Annotated[str, prompt_setting(*GIVEN, needs=("question", "texts"))] = Field(
        "steer.verdict", description="packaged prompt, or path of a .jinja file"
    )
    answers: bool = Field(
        False, description="the prompt asks for an answer too, as the model was trained; the reply is cut before it"
    )
    k: int = Field(20, ge=1, description="passages that are judged, from the top; those below are dropped")
    sources: bool = Field(False, description="show the model each passage's source")
    abstain: str = Field("unanswerable", min_length=1, description="what the prompt calls no answer")
    once: bool = Field(True, description="of passages with one text hand on the first")
    on_nothing: OnNothing = Field(
        "abstain", description="when no passage is reliable: hand on none, or all of them (and flag the question)"
    )

    async def run(self, question: str, documents: Documents) -> dict[str, Any]:
        """Return the passages that are relied on, in their order, and the judgement."""
        passages = documents[: self.k]
        if not passages:
            return {"documents": (), "vars.judgement": {"unreliable": [], "reliable": [], "warnings": []}}
        prompt = verdict_prompt(
            self.prompt,
            question,
            passages,
            form=self.form,
            abstain=self.abstain,
            sources=self.sources,
            answers=self.answers,
        )
        verdict = await ask_verdict(
            self.model, prompt, len(passages), form=self.form, max_new_tokens=0, with_answer=False
        )
        problems = [warning for warning in verdict.warnings if warning != "no answer"]
        if problems:
            flag(REPAIRED)
        judgement = judged(verdict, passages) | {"warnings": problems}
        chosen = kept(passages, set(judgement["reliable"]), self.on_nothing, once=self.once, stage="steer.prune")
        return {"documents": chosen, "vars.judgement": judgement}

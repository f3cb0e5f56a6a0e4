"""Rewrite a question before anything is searched."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ragkit.engine.calls import flag
from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents
from ragkit.errors import ReplyError
from ragkit.models.base import LanguageModel, Prompt
from ragkit.prompts import prompt_setting, render
from ragkit.stages.rewritten import GRAMMAR, Rewritten, distinct, read_rewritten, schema

FALLBACK = "rewrite.plus:fallback"
"""Flag of a question whose rewriting could not be read, so that it was searched for as it is."""


@stage("rewrite.plus", writes=("queries", "vars.questions", "vars.rewritten"))
class RewritePlus(Stage):
    """Turn a question into clarified questions (`vars.questions`) and several search queries (`queries`).

    Reading further results of one query soon brings nothing new; queries for different sides of a question do. The
    retrieval stages search for each of `queries` and fuse the rankings. The paper's rewriter sees the question alone;
    with `passages` it stands after a first search and can ask for what that search turned up: a question of two hops
    does not name the page of the second. A reply that cannot be read counts as a
    fallback: question and query are then the question itself, `vars.rewritten` is false and the question is flagged.

    Source: Shi et al. 2024 (ERM4), arXiv 2407.10670, the Query Rewriter+.
    """

    model: LanguageModel
    form: Literal["json", "text"] = Field(
        "json", description="json: an object under a schema, for prompted models | text: the form tuned models learn"
    )
    prompt: Annotated[str, prompt_setting("question", "max_queries", "passages")] = Field(
        "rewrite.plus", description="packaged prompt, or path of a .jinja file; rewrite.plus.text with form: text"
    )
    passages: int = Field(0, ge=0, description="show so many of the passages that an earlier search has found")
    max_queries: int = Field(5, ge=1, description="the most queries, the question's own included")
    keep_question: bool = Field(False, description="search for the question itself too, as the first query")
    grammar: bool = Field(False, description="hold a local model to the text form while it writes")
    max_new_tokens: int = Field(256, ge=1, description="the most tokens of a reply")

    @model_validator(mode="before")
    @classmethod
    def _prompt_of_form(cls, settings: Any) -> Any:
        if isinstance(settings, dict) and settings.get("form") == "text":
            return {"prompt": "rewrite.plus.text"} | settings
        return settings

    @model_validator(mode="after")
    def _check(self) -> "RewritePlus":
        if self.grammar and self.form == "json":
            raise ValueError("grammar is of the form 'text'; a 'json' reply follows its schema anyway")
        return self

    async def run(self, question: str, documents: Documents = ()) -> dict[str, Any]:
        """Return the queries, the clarified questions, and whether the question was rewritten."""
        rewritten = await self._ask(self.render(question, documents))
        if rewritten is None:
            flag(FALLBACK)
        found = rewritten or Rewritten((question,), (question,))
        own = (question,) if self.keep_question else ()
        return {
            "queries": distinct((*own, *found.queries), self.max_queries),
            "vars.questions": distinct(found.questions, len(found.questions)),
            "vars.rewritten": rewritten is not None,
        }

    def render(self, question: str, documents: Documents) -> Prompt:
        """Return the prompt about a question, with the first of the passages that were found."""
        shown = [
            {"title": str(document.metadata.get("title") or ""), "text": document.page_content}
            for document in documents[: self.passages]
        ]
        return render(self.prompt, question=question, max_queries=self.max_queries, passages=shown)

    async def _ask(self, prompt: Prompt) -> Rewritten | None:
        try:
            if self.form == "json":
                generation = await self.model.generate(
                    prompt, max_new_tokens=self.max_new_tokens, schema=schema(self.max_queries)
                )
            else:
                generation = await self.model.generate(
                    prompt, max_new_tokens=self.max_new_tokens, grammar=GRAMMAR if self.grammar else None
                )
        except ReplyError as error:
            return read_rewritten(error.reply)
        return read_rewritten(generation.text, cut=generation.finish == "length")

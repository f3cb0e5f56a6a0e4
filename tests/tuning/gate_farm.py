"""Sets with scripted models for tests of the gate: everything by rule, nothing is trained."""

from contextlib import contextmanager

from ragkit import Documents, Pipeline, Stage, stage
from ragkit.engine.state import Passage
from ragkit.evaluation.questions import Question
from ragkit.evaluation.split import in_part
from ragkit.models import ScriptedModel
from ragkit.models.base import LanguageModel
from ragkit.settings import RunSettings
from ragkit.tuning.data import TuningSet


@stage("retrieve.toy_echo", writes="documents")
class RetrieveEcho(Stage):
    """One passage about the question; none if the question lacks a text."""

    sees: str = ""

    async def run(self, question: str) -> Documents:
        if self.sees not in question:
            return ()
        return (Passage(id=f"about {question}", page_content=f"About: {question}"),)


@stage("answer.toy_ask", writes="answer")
class AnswerAsk(Stage):
    """What the model says."""

    model: LanguageModel
    head: str = "Read."

    async def run(self, question: str, documents: Documents) -> str:
        passages = "\n".join(f"[{n}] {d.page_content}" for n, d in enumerate(documents, 1))
        return (await self.model.generate(f"{self.head}\n{passages}\nQuestion: {question}")).text


@stage("answer.toy_sure", writes=("answer", "vars.confidence"))
class AnswerSure(AnswerAsk):
    """The same; the longer, the surer."""

    async def run(self, question: str, documents: Documents) -> dict:
        answer = await super().run(question, documents)
        return {"answer": answer, "vars.confidence": float(len(answer))}


def questions(name, n=100):
    """Questions whose answers are their numbers."""
    return [
        Question(f"{name}-{k}", f"{name} number {k}?", (f"answer {k}",), (f"about {name} number {k}?",))
        for k in range(n)
    ]


def model(right):
    """A model that knows the answers to the questions of the numbers for which `right(set, number)` holds."""

    def reply(prompt):
        name, _, number = prompt.rpartition("Question: ")[2].rstrip("?").split()
        return f"answer {number}" if right(name, int(number)) else "no idea at all"

    return ScriptedModel(reply=reply)


def pipeline(reader, answer=AnswerAsk, called="reader", stages=None, **run):
    settings = RunSettings(**{"metrics": ("em", "recall@1")} | run)
    stages = stages or [RetrieveEcho(), answer(model=reader)]
    return Pipeline(stages, name="toy", models={called: reader}, run=settings)


def openers(reader, sets, **run):
    """Open sets (name to number of questions) with the pipeline of a reader."""

    def opener(name, n):
        @contextmanager
        def opened(part):
            with pipeline(reader, **run) as made:
                yield TuningSet(name, made, in_part(questions(name, n), part))

        return opened

    return {name: opener(name, n) for name, n in sets.items()}

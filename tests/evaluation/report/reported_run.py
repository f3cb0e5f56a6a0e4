"""A real run over a small PDF by scripted models: a loop with thoughts, recalled and dropped passages, a failure."""

from pathlib import Path

from ragkit import Documents, Pipeline, Stage, stage
from ragkit.engine.conditions import Condition
from ragkit.engine.controls import Loop
from ragkit.engine.state import Hit, Passage
from ragkit.evaluation.questions import Question
from ragkit.index import LocalIndex, SparseSettings
from ragkit.models.base import LanguageModel
from ragkit.models.scripted import Rule, ScriptedModel
from ragkit.settings import RunSettings
from ragkit.stages import AnswerRead, ContextPack, RetrieveSparse

HOSTILE = (
    "</script><script>document.title='broken out'</script><img src=http://evil.example/x onerror=alert(1)> {{ 7*7 }}"
)
PAGES = (
    ("Winter wheat is kept safe for a year at 14 percent moisture when the store is cool and dry.",
     "Wheat that is wetter than that heats up and moulds within a few weeks of a warm autumn."),
    ("Maize is dried to 15 percent moisture before it goes into the store for the whole winter.",
     "Maize cobs may stay wetter when air can blow through the crib from every side of it."),
    ("Barley for malting is kept at 12 percent moisture so that it germinates well the next spring.",
     "Malting barley is sold by its protein content and by the share of kernels that germinate."),
)  # fmt: skip


@stage("reporting.think", writes=("queries", "vars.thought", "vars.done"))
class Think(Stage):
    """Write a query; the second time, be done."""

    model: LanguageModel

    async def run(self, question: str, documents: Documents = ()) -> dict[str, object]:
        query = (await self.model.generate(f"A query for: {question}\nSeen: {len(documents)}")).text
        return {
            "queries": (query, question),
            "vars.thought": f"I should look for {query}.",
            "vars.done": bool(documents),
        }


@stage("reporting.recall", writes="documents")
class Recall(Stage):
    """Add a passage that an earlier question had stored."""

    async def run(self, question: str, documents: Documents) -> Documents:
        stored = Passage(
            id="memory-1", page_content="A remembered passage about moisture.", score=0.5,
            hits=(Hit("memory.recall", question, 1, 0.9),),
        )  # fmt: skip
        return (*documents, stored)


@stage("reporting.filter", writes="documents")
class Keep(Stage):
    """Keep the passages that the model calls relevant."""

    model: LanguageModel

    async def run(self, question: str, documents: Documents) -> Documents:
        choices = [
            await self.model.choose(f"{d.page_content}\nIs it about: {question}", ["yes", "no"]) for d in documents
        ]
        return tuple(d for d, choice in zip(documents, choices, strict=True) if choice.label == "yes")


def write_pdf(path: Path) -> None:
    import pymupdf

    with pymupdf.open() as pdf:
        for paragraphs in PAGES:
            page = pdf.new_page(width=300, height=400)
            for number, paragraph in enumerate(paragraphs):
                page.insert_textbox((30, 40 + 160 * number, 270, 160 + 160 * number), paragraph, fontsize=14)
        pdf.save(path)


RULES = (
    Rule(matches="^A query for: .*wheat", reply="moisture wheat"),
    Rule(contains="A query for", reply="moisture grain"),
    Rule(matches="(cobs|protein|remembered).*Is it about", reply="no"),
    Rule(contains="Is it about", reply="yes"),
    Rule(contains="Question: What does the hostile", reply=HOSTILE),
    Rule(contains="wheat safe", reply="14 percent [1]"),
    Rule(matches="Question: Wh[yo]", reply="unanswerable"),
)
"""What the scripted model says; about one question it has nothing to say, which is an error."""


def questions(count: int) -> list[Question]:
    """Return questions: one right, one abstained, one that fails, one whose answer is hostile, and many more."""
    made = [
        Question("wheat", "At what moisture is wheat safe?", ("14 percent",), ("grain.pdf#p1",), "number"),
        Question("malt", "Why is barley kept dry?", ("so that it germinates well",), ("grain.pdf#p3",), "reason"),
        Question("broken", "What fails at this moisture?", ("nothing",), (), "reason"),
        Question("evil", "What does the hostile answer hold?", ("something",), (), HOSTILE),
        Question("nobody", "Who invented the moisture meter?", answerable=False),
    ]
    return made + [
        Question(
            f"more-{n:03}",
            f"Number {n}: at what moisture is wheat safe?",
            ("14 percent" if n % 2 else "9",),
            ("grain.pdf#p1",),
            "number",
        )
        for n in range(count)
    ]


def make_run(folder: Path, count: int = 0) -> Path:
    """Run the pipeline in a folder and return the run's folder."""
    if not (folder / "grain.pdf").exists():  # a PDF that is written again has other bytes
        write_pdf(folder / "grain.pdf")
    index = LocalIndex(documents=["grain.pdf"], base=folder, sparse=SparseSettings(), path=folder / "index")
    model = ScriptedModel(rules=RULES)
    steps = [
        Loop(
            do=(Think(model=model), RetrieveSparse(index=index, k=5)),
            until=Condition(field="vars.done", equals=True),
            max=3,
        ),
        Recall(),
        Keep(model=model),
        ContextPack(model=model, tokens=40),
        AnswerRead(model=model),
    ]
    settings = RunSettings(metrics=["em", "f1", "recall@5", "tokens"], cache=False)
    with Pipeline(steps, name="grain", run=settings) as pipeline:
        return pipeline.run(questions(count), out=folder / "run").folder

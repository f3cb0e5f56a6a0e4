"""Questions to examine a tuned model with, for a corpus that nobody has asked questions about."""

from dataclasses import dataclass
from pathlib import Path

from ragkit.engine.calls import OnProgress
from ragkit.engine.run_folder import replace_file
from ragkit.errors import InputError
from ragkit.evaluation.question_sets import QuestionSet, pipeline_over, set_folder
from ragkit.evaluation.records import question_line
from ragkit.tuning.builders.corpus_qa import CorpusQA
from ragkit.tuning.builders.corpus_qa.report import CorpusReport
from ragkit.tuning.recipe import Recipe


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A questions file of a set.

    Attributes:
        path: the file.
        report: what was made of the corpus; None if the file was there already.
    """

    path: Path
    report: CorpusReport | None


def write_held_out(recipe: Recipe, data: Path | None, on_progress: OnProgress) -> dict[str, HeldOut]:
    """Write the questions file of each set of a recipe that has none yet; what is there is never touched.

    The questions are about documents of the test part, which the recipe's builder `corpus_qa` never trains on, and
    their ids are in the test part too, so the gate asks all of them. They and their answers are made by a model: read
    them before you believe what follows from them.

    Args:
        recipe: with the builder `corpus_qa`.
        data: the folder that holds a folder for each set.
        on_progress: told of every long step.

    Raises:
        InputError: the recipe has another builder, a set's questions are not one file, or nothing was left of them.
        RagkitError: a model or an index cannot be opened.
    """
    builder = recipe.builder
    if not isinstance(builder, CorpusQA):
        raise InputError(f"{recipe.file}: data: only the builder corpus_qa writes questions")
    files = {name: _file(name, own, data) for name, own in recipe.sets.items()}
    found = {}
    for name, (folder, path) in files.items():
        if path.exists():
            found[name] = HeldOut(path, None)
            continue
        with pipeline_over(recipe.settings.pipeline, recipe.sets[name], folder, recipe.overrides) as pipeline:
            pipeline.prepare(on_progress)
            made = builder.make(pipeline, recipe.settings.model, "test", recipe.training.seed, on_progress)
        replace_file(path.with_name(f"{path.name}.report.json"), made.report.to_json().encode())
        if not made.kept:
            raise InputError(f"set '{name}': no question was good enough ({made.report.why()})")
        replace_file(path, b"".join(question_line(pair.to_question()) for pair in made.kept))
        found[name] = HeldOut(path, made.report)
    return found


def _file(name: str, own: QuestionSet, data: Path | None) -> tuple[Path, Path]:
    """Return the folder of a set and the questions file that it names."""
    folder = set_folder(name, own, data)
    if not isinstance(own.questions, str) or ":" in own.questions or not own.questions.endswith(".jsonl"):
        raise InputError(f"set '{name}': questions: name one .jsonl file, into which they are written")
    return folder, folder / own.questions

"""What does the embedded model make of a corpus? Questions, answers and their measures, from a part of the field guide.

The untuned 135M-parameter model writes the questions, answers and grades them, which it is too small for: the figures
show that the machinery runs on a local model, and what its output is worth. Held-out questions are made too, from
documents that no training question is about.
"""

import argparse
import tempfile
from typing import Any

from common import ROOT, table, write_result

from ragkit import Pipeline
from ragkit.tuning.builders.corpus_qa import CorpusQA, Made

PIPELINE = ROOT / "pipelines/tuning/corpus_qa/rag.yaml"
DOCUMENTS = ("grain-storage.pdf", "seed-planting.pdf", "soil-testing-fertility.pdf", "crop-reference.pdf")


def figures(made: Made) -> dict[str, Any]:
    """Return the report with some of the pairs to look at."""
    shown = [
        {"question": pair.question, "answer": pair.answer, "section": pair.section.id, "dropped": pair.dropped or None}
        for pair in made.pairs[:10]
    ]
    return made.report.to_dict() | {"first_pairs": shown}


def _changes(folder: str) -> list[str]:
    """Return the changes of the pipeline: fewer documents, nothing from earlier runs."""
    documents = f"index.documents=[{', '.join(DOCUMENTS)}]"
    return [documents, f"index.base={ROOT / 'corpora/fieldguide'}", f"index.path={folder}/index", "run.cache=false"]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sections", type=int, default=12, help="of the training part; a third of it held out")
    wanted = arguments.parse_args().sections
    numbers = {}
    measures = ("coverage", "section_found", "groundedness", "support", "overlap", "diversity")
    shown = [("part", "documents", "questions", "kept", *measures)]
    with tempfile.TemporaryDirectory() as folder, Pipeline.load(PIPELINE, _changes(folder)) as pipeline:
        pipeline.prepare()
        builder = CorpusQA(
            model=pipeline.models["teacher"],
            encoder=pipeline.models["minilm"],
            sections=wanted,
            held_out_sections=max(1, wanted // 3),
            questions_per_section=2,
            facet_prompt="corpus.facet.few_shot",
            question_prompt="corpus.question.few_shot",
            temperature=0.3,
            min_coverage=0,
            min_groundedness=0,
            round_trip=True,
            cite=False,
        )
        for part in ("train", "test"):
            made = builder.make(pipeline, "reader", part, 0, lambda *_: None)
            numbers[part] = figures(made)
            means = {name: f"{estimate.value:.3f} ({estimate.n})" for name, estimate in made.report.all.items()}
            cells = [means.get(name, "-") for name in measures]
            counts = (made.report.documents, made.report.questions, made.report.kept)
            shown.append((part, *map(str, counts), *cells))
    print(table(shown))
    settings = {"documents": DOCUMENTS, "sections": wanted, "seed": 0}
    write_result("corpus_qa", settings, numbers, [], full=wanted == 12)


if __name__ == "__main__":
    main()

"""Encoding passages: as the calls of a run's questions through the engine, and with sentence-transformers alone.

Both sides use the same weights, number format and batch size; sentence-transformers sorts by length itself.
"""

import argparse
import statistics

import numpy as np
from common import Target, interleave, ratio, table, write_result
from texts import passages

from ragkit.engine.nodes import as_node
from ragkit.engine.run import run_questions
from ragkit.engine.stage import Stage, stage
from ragkit.models.base import Encoder
from ragkit.models.sentence_transformers_models import SentenceTransformerEncoder

MODEL = "embedded:all-minilm-l6-v2"


@stage("bench.encode", writes="vars.vector")
class Encode(Stage):
    """Encode the question's text as a passage."""

    encoder: Encoder

    async def run(self, question: str) -> np.ndarray:
        return await self.encoder.embed(question, "passage")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    texts = passages(48, args.passages)
    encoder = SentenceTransformerEncoder(model=MODEL)
    nodes = (as_node(Encode(encoder=encoder)),)
    numbered = [(str(n), text) for n, text in enumerate(texts)]
    vectors: dict[str, np.ndarray] = {}

    def engine() -> None:
        predictions = run_questions(nodes, numbered)
        vectors["ragkit"] = np.stack([prediction.vars["vector"] for prediction in predictions])

    def raw() -> None:
        weights = encoder._weights  # the same object on both sides
        vectors["raw"] = weights.encode(
            texts, batch_size=encoder.max_batch_size, normalize_embeddings=True, show_progress_bar=False
        )

    run_questions(nodes, numbered[: encoder.max_batch_size])  # loads the weights
    seconds = interleave({"ragkit": engine, "sentence-transformers": raw}, args.rounds)
    worst = float((vectors["ragkit"] * vectors["raw"].astype(np.float32)).sum(axis=1).min())
    assert worst > 0.99, f"the vectors differ: cosine {worst}"
    rows = [
        (name, f"{statistics.median(times):.2f}", f"{len(texts) / statistics.median(times):.0f}")
        for name, times in seconds.items()
    ]
    print(table([("encoding", "seconds", "passages per second"), *rows]))
    write_result(
        "encoding",
        vars(args) | {"model": MODEL, "dtype": encoder.resolved_dtype, "batch_size": encoder.max_batch_size},
        {"seconds": seconds, "lowest_cosine": worst},
        [
            Target(
                "throughput by sentence-transformers'", ratio(seconds["sentence-transformers"], seconds["ragkit"]), 0.95
            )
        ],
        full=vars(args) == vars(parser.parse_args([])),
    )


if __name__ == "__main__":
    main()

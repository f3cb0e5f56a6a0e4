"""Batched generation: through the engine, in a hand-written length-sorted batch loop, and one prompt at a time.

All three use the same weights, tokenizer, number format and limit of new tokens, and greedy decoding. The hand-written
loop calls transformers' own `generate` with the batch size that was fastest here among a few.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable

from common import Target, interleave, ratio, table, write_result
from texts import passages

from ragkit.engine.nodes import as_node
from ragkit.engine.run import RunOptions, run_questions
from ragkit.engine.stage import Stage, stage
from ragkit.models.base import LanguageModel
from ragkit.models.transformers_lm import TransformersModel

MODEL = "embedded:smollm2-135m-instruct"
BATCH_SIZES = (4, 8, 16, 32)


@stage("bench.continue", writes="answer")
class Continue(Stage):
    """Continue the question's text."""

    model: LanguageModel
    new_tokens: int

    async def run(self, question: str) -> str:
        return (await self.model.generate(question, max_new_tokens=self.new_tokens)).text


def mixed_prompts(count: int) -> list[str]:
    """Return beginnings of passages, 5 to 60 words long, in no order of length."""
    draw = random.Random(0)
    prompts = []
    for text in passages(300, count):
        words = text.split()
        prompts.append(" ".join(words[: draw.randint(5, 60)]))
    return prompts


class Contest:
    """The three ways to generate; each leaves the number of tokens it generated in `tokens`."""

    def __init__(self, prompts: list[str], new_tokens: int) -> None:
        from transformers import AutoTokenizer

        from ragkit.models.embedded import locate

        self.prompts, self.new_tokens = prompts, new_tokens
        self.model = TransformersModel(model=MODEL)
        self.nodes = (as_node(Continue(model=self.model, new_tokens=new_tokens)),)
        self.engine(prompts[:1])  # loads the weights
        self.weights = self.model._model  # the same object on both sides
        self.tokenizer = AutoTokenizer.from_pretrained(locate(MODEL)[0], padding_side="left")
        self.tokenizer.pad_token = self.tokenizer.pad_token or self.tokenizer.eos_token
        self.tokens: dict[str, int] = {}

    def engine(self, prompts: list[str], in_flight: int = 2048) -> None:
        numbered = [(str(n), prompt) for n, prompt in enumerate(prompts)]
        predictions = run_questions(self.nodes, numbered, options=RunOptions(in_flight=in_flight))
        assert all(prediction.error is None for prediction in predictions), predictions[0].error
        self.generated = sum(prediction.usage.completion_tokens for prediction in predictions)

    def batched(self) -> None:
        self.engine(self.prompts)
        self.tokens["ragkit"] = self.generated

    def one_at_a_time(self) -> None:
        self.engine(self.prompts, in_flight=1)
        self.tokens["one at a time"] = self.generated

    def by_hand(self, batch_size: int) -> None:
        import torch

        encoded = sorted((self.tokenizer(prompt).input_ids for prompt in self.prompts), key=len, reverse=True)
        total = 0
        for start in range(0, len(encoded), batch_size):
            batch = self.tokenizer.pad({"input_ids": encoded[start : start + batch_size]}, return_tensors="pt")
            with torch.inference_mode():
                ids = self.weights.generate(
                    **batch.to(self.weights.device),
                    max_new_tokens=self.new_tokens,
                    do_sample=False,
                    pad_token_id=self.tokenizer.pad_token_id,
                )
            new = ids[:, batch.input_ids.shape[1] :]
            texts = self.tokenizer.batch_decode(new, skip_special_tokens=True)
            ended = (new == self.tokenizer.eos_token_id).cumsum(dim=1)
            total += int(((ended == 0) | ((ended == 1) & (new == self.tokenizer.eos_token_id))).sum())
            assert len(texts) == len(new)
        self.tokens["by hand"] = total

    def fastest_batch_size(self) -> int:
        seconds = {}
        for size in BATCH_SIZES:
            start = time.perf_counter()
            self.by_hand(size)
            seconds[size] = time.perf_counter() - start
        return min(seconds, key=lambda size: seconds[size])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    contest = Contest(mixed_prompts(args.prompts), args.new_tokens)
    contest.batched()
    batch_size = contest.fastest_batch_size()
    contenders: dict[str, Callable[[], None]] = {
        "ragkit": contest.batched,
        "by hand": lambda: contest.by_hand(batch_size),
        "one at a time": contest.one_at_a_time,
    }
    seconds = interleave(contenders, args.rounds)
    # Per token, in case floating point ended a text early on one side only.
    per_token = {name: [s / contest.tokens[name] for s in times] for name, times in seconds.items()}
    rows = [
        (
            name,
            f"{statistics.median(times):.2f}",
            str(contest.tokens[name]),
            f"{1 / statistics.median(per_token[name]):.0f}",
        )
        for name, times in seconds.items()
    ]
    print(table([("generation", "seconds", "new tokens", "tokens per second"), *rows]))
    write_result(
        "generation",
        vars(args) | {"model": MODEL, "dtype": contest.model.resolved_dtype, "batch_size_by_hand": batch_size},
        {"seconds": seconds, "new_tokens": contest.tokens},
        [
            Target("throughput by the hand-written loop's", ratio(per_token["by hand"], per_token["ragkit"]), 0.9),
            Target("throughput by one at a time's", ratio(per_token["one at a time"], per_token["ragkit"]), 3),
        ],
        full=vars(args) == vars(parser.parse_args([])),
    )


if __name__ == "__main__":
    main()

"""What all prompts of a batch have in common is computed once, and nothing else changes."""

from types import SimpleNamespace
from typing import Any

import pytest

from ragkit.engine.calls import Request
from ragkit.models.reading import shared_prefix
from ragkit.models.transformers_lm import TransformersModel


def model(sliding_window: int | None = None) -> Any:
    text = SimpleNamespace(sliding_window=sliding_window)
    return SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: text))


HEAD = list(range(40))


@pytest.mark.parametrize(
    ("prompts", "shared"),
    [
        ([[*HEAD, 1], [*HEAD, 2], [*HEAD, 3, 4]], 40),
        ([[*HEAD, 1, 5], [*HEAD, 1, 6]], 41),
        ([[*HEAD], [*HEAD, 7]], 39),  # every prompt keeps a token of its own
        ([[*HEAD], [*HEAD]], 39),
        ([[*HEAD[:20], 1], [*HEAD[:20], 2]], 0),  # too short to be worth it
        ([[9, *HEAD], [8, *HEAD]], 0),
        ([[*HEAD, 1]], 0),  # alone
    ],
)
def test_how_much_is_shared(prompts: list[list[int]], shared: int) -> None:
    assert shared_prefix(model(), prompts) == shared


def test_a_model_with_a_window_is_left_alone() -> None:
    assert shared_prefix(model(sliding_window=16), [[*HEAD, 1], [*HEAD, 2]]) == 0


@pytest.mark.models
def test_texts_are_those_of_prompts_run_alone() -> None:
    reader = TransformersModel(model="embedded:smollm2-135m-instruct", dtype="float32")
    head = "Here is a list of plain facts about rivers, towns, crops and the people who live with them. " * 3
    tails = ["The Nile flows through", "Wheat is", "In the capital of France you will find the", "Potatoes grow"]
    requests = [Request("generate", {"prompt": head + tail, "max_new_tokens": 8}) for tail in tails]
    reader.ensure_open()
    reader.load("generate")
    reader.measure(requests)
    assert shared_prefix(reader._networks[0], [request.payload[0] for request in requests]) >= 32
    together: list[Any] = reader.execute("generate", requests)
    alone: list[Any] = [reader.execute("generate", [request])[0] for request in requests]
    assert [reply.value["text"] for reply in together] == [reply.value["text"] for reply in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.value["logprob"] == pytest.approx(other.value["logprob"], abs=1e-3)
        assert one.prompt_tokens == other.prompt_tokens

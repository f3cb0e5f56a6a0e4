"""Prompts that are rewarded sometimes."""

import pytest
from selector_rows import context, row

from ragkit.errors import InputError
from ragkit.models import ScriptedModel
from ragkit.tuning.rewards.answers import ExactMatchReward
from ragkit.tuning.rows import PromptRow
from ragkit.tuning.selectors import RolloutFilter


def prompts(*questions):
    return [PromptRow(prompt=question, columns={"answers": ["yes"]}) for question in questions]


def select(tmp_path, rows, reply, **settings):
    model = ScriptedModel(reply=reply)
    return RolloutFilter(model=model, rewards=(ExactMatchReward(),), rollouts=4, **settings).select(
        rows, context(tmp_path)
    )


def test_what_is_always_or_never_right_teaches_nothing(tmp_path):
    draws = []

    def says(prompt):
        draws.append(prompt)
        if prompt == "broken":
            raise ValueError("no")
        return "yes" if prompt == "easy" or (prompt == "fair" and draws.count("fair") == 2) else "no"

    selected = select(tmp_path, prompts("easy", "fair", "hard", "broken"), says)
    assert [r.prompt for r in selected.rows] == ["fair"]
    assert selected.reasons == {"kept": 1, "never rewarded": 1, "always rewarded": 1, "failed": 1}
    assert draws.count("fair") == 4


def test_rows_with_completions_are_refused(tmp_path):
    with pytest.raises(InputError, match="rif: selects among prompts"):
        select(tmp_path, [row("q", "a")], str)

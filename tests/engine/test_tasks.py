import asyncio

from ragkit.engine.tasks import run_tasks
from ragkit.models.base import Price
from ragkit.models.scripted import Rule, ScriptedModel


def test_tasks_batch_their_calls_and_one_that_raises_harms_no_other():
    model = ScriptedModel(rules=(Rule(contains="2", reply="two"),), default="other")
    seen = []

    async def task(number):
        text = (await model.generate(f"number {number}")).text
        await asyncio.sleep(0)
        if number == 1:
            raise KeyError("one")
        return text, (await model.generate(f"again {number}")).text

    outcomes = run_tasks(
        [lambda number=number: task(number) for number in range(4)],
        name="thoughts",
        on_progress=lambda name, done, total: seen.append((name, done, total)),
    )
    assert [outcome.value for outcome in outcomes] == [("other", "other"), None, ("two", "two"), ("other", "other")]
    assert [outcome.error for outcome in outcomes] == [None, "KeyError: 'one'", None, None]
    assert [outcome.usage.model_calls for outcome in outcomes] == [2, 1, 2, 2]
    assert model.batches == [4, 3]
    assert ("thoughts", 4, 4) in seen


def test_no_tasks():
    assert run_tasks([]) == []


def test_a_price_becomes_a_cost_and_is_not_in_the_fingerprint():
    free = ScriptedModel(default="one two three")
    priced = ScriptedModel(default="one two three", price=Price(input=2.0, output=10.0))
    assert free.fingerprint() == priced.fingerprint()

    async def ask(model):
        await model.generate("a prompt of five words")
        await model.count_tokens("not metered, so without a price")

    paid, unpaid = run_tasks([lambda: ask(priced), lambda: ask(ScriptedModel(default="x"))])
    assert paid.usage.as_dict()["cost"] == (5 * 2 + 3 * 10) / 1_000_000
    assert "cost" not in unpaid.usage.as_dict()

"""How many rows are of which kind."""

import random
from collections.abc import Mapping

HARD, RANDOM, ABSENT = "gold_hard", "gold_random", "absent"


def apportion(total: int, rates: Mapping[str, float]) -> dict[str, int]:
    """Return whole numbers in the proportion of rates that add up to the total, by largest remainder.

    Equal remainders go to the kind that is named first.

    Raises:
        ValueError: no rate is above 0.
    """
    whole = sum(rates.values())
    if whole <= 0:
        raise ValueError(f"no rate is above 0: {dict(rates)}")
    exact = {kind: total * rate / whole for kind, rate in rates.items()}
    # Rounded first, so that 0.1 of 1,000 rows is 100 and not a little less.
    counts = {kind: int(round(share, 9)) for kind, share in exact.items()}
    order = sorted(rates, key=lambda kind: -round(exact[kind] - counts[kind], 9))
    for kind in order[: total - sum(counts.values())]:
        counts[kind] += 1
    return counts


def kinds(total: int, rates: Mapping[str, float], seed: int) -> list[str]:
    """Return the kind of each row: exactly as many of each as `apportion` says, in an order that the seed decides."""
    drawn = [kind for kind, count in apportion(total, rates).items() for _ in range(count)]
    random.Random(f"kinds {seed}").shuffle(drawn)  # noqa: S311 - not for secrets
    return drawn

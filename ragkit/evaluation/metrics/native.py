"""The measures of ir-measures under their own names: `AP`, `nDCG@10`, `P(rel=2)@5`, `Judged@10` ..."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override

from ragkit.engine.registry import metrics
from ragkit.errors import InputError, did_you_mean
from ragkit.evaluation.metrics.ranking import PAGES, RankingMetric

MEASURED_ALWAYS = ("seconds", "cached_share")
"""Figures of the trace that no metric computes and every run has."""


@dataclass(frozen=True)
class NativeMeasure(RankingMetric):
    """A measure of ir-measures, written as ir-measures writes it."""

    name: ClassVar[str] = "ir-measures"
    source: ClassVar[str] = "MacAvaney et al. 2022 (ir-measures), arXiv 2111.13466"
    takes_cutoff: ClassVar[bool] = False

    written: str = ""

    @override
    def measure(self) -> str:
        return self.written

    def __str__(self) -> str:
        return (PAGES if self.pages else "") + self.written


def parse_native(text: str) -> NativeMeasure:
    """Return a measure that ir-measures knows and can compute.

    Raises:
        InputError: it knows no such measure, or needs parameters or a package that are not there.
    """
    import ir_measures

    written = text.removeprefix(PAGES)
    name = re.split(r"[(@]", written, maxsplit=1)[0]
    known: Sequence[str] = sorted(ir_measures.measures.registry)
    if name not in known:
        if text in MEASURED_ALWAYS:
            raise InputError(f"metric '{text}': is measured in every run; leave it out")
        hint = did_you_mean(name, [*metrics, *known]) or did_you_mean(name.lower(), metrics) or "."
        raise InputError(
            f"unknown metric '{text}'{hint} The metrics are: {', '.join(metrics)}; "
            "and those of ir-measures by their own names, e.g. AP, nDCG@10, P(rel=2)@5, Success@1"
        )
    if name == "P" and "@" not in written:
        raise InputError(f"metric '{text}': P needs a cutoff, e.g. '{text}@5'")
    try:
        measure: Any = ir_measures.parse_measure(written)
        supported = name != "NumQ" and ir_measures.DefaultPipeline.supports(measure)
    except (ValueError, TypeError, AssertionError, NameError, KeyError) as error:  # ir-measures has no error type
        raise InputError(f"metric '{text}': ir-measures cannot read it: {error}") from None
    if not supported:
        raise InputError(
            f"metric '{text}': ir-measures cannot compute it here: it needs other parameters, or a further package "
            "(https://ir-measur.es/en/latest/providers.html)"
        )
    return NativeMeasure(written=str(measure), pages=text.startswith(PAGES))

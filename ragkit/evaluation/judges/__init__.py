"""Judges: measures of answers that ask models, one file per kind."""

from ragkit.evaluation.judges.base import Judge, Judgement
from ragkit.evaluation.judges.citations import CitationJudge
from ragkit.evaluation.judges.contexts import ContextPrecision
from ragkit.evaluation.judges.guideline import GuidelineJudge
from ragkit.evaluation.judges.judging import Judging, quality_figures, run_judges
from ragkit.evaluation.judges.key_facts import KeyFactJudge
from ragkit.evaluation.judges.pairwise import PairwiseJudge, prefer
from ragkit.evaluation.judges.panel import PanelJudge
from ragkit.evaluation.judges.reward import RewardJudge
from ragkit.evaluation.judges.rubric import RubricJudge
from ragkit.evaluation.judges.similarity import SemanticSimilarity

__all__ = [
    "CitationJudge",
    "ContextPrecision",
    "GuidelineJudge",
    "Judge",
    "Judgement",
    "Judging",
    "KeyFactJudge",
    "PairwiseJudge",
    "PanelJudge",
    "RewardJudge",
    "RubricJudge",
    "SemanticSimilarity",
    "prefer",
    "quality_figures",
    "run_judges",
]

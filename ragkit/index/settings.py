"""The settings of an index, as the YAML spells them."""

from typing import Annotated, Literal

from pydantic import Field

from ragkit.engine.component import Component

FusionMethod = Literal["reciprocal_rank", "weighted_sum"]
Normalisation = Literal["min_max", "z_score", "none"]
Bm25Method = Literal["lucene", "robertson", "atire", "bm25l", "bm25+"]
Stemmer = Literal[
    "arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "finnish", "french", "german", "greek",
    "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian", "nepali", "norwegian", "porter",
    "portuguese", "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish", "yiddish",
]  # fmt: skip
Stopwords = Literal[
    "chinese", "danish", "dutch", "english", "english_plus", "french", "german", "italian", "korean", "norwegian",
    "portuguese", "russian", "spanish", "swedish", "turkish",
]  # fmt: skip


class SparseSettings(Component):
    """BM25 over stemmed words.

    The variants are those of Kamphuis et al. 2020, Which BM25 do you mean? rank-bm25's BM25Plus scores like `bm25+`;
    its BM25Okapi scores k1 + 1 times as high as `robertson` for words that less than half of the passages hold; its
    BM25L multiplies by the word's frequency once more than the paper and is not reproduced here.
    """

    method: Bm25Method = Field("lucene", description="The variant of BM25.")
    stemmer: Stemmer | None = Field("english", description="A Snowball stemmer; null leaves words as they are.")
    stopwords: Stopwords | None = Field("english", description="A list of words to leave out; null keeps all.")
    k1: float = Field(1.5, ge=0, le=10, allow_inf_nan=False, description="How slowly repeated words saturate.")
    b: float = Field(0.75, ge=0, le=1, description="How far long passages are held back, from 0 to 1.")
    delta: float = Field(0.5, ge=0, le=10, description="The lower bound of a matching word (bm25l and bm25+ only).")


class FusionSettings(Component):
    """How the rankings of several parts, or of several queries, become one; see `ragkit.index.fusion`.

    The rankings of several queries are always fused by reciprocal rank.
    """

    method: FusionMethod = Field("reciprocal_rank", description="Fuse by ranks, or by a weighted sum of scores.")
    k: int = Field(10, ge=0, description="The constant added to ranks; the higher, the less the first ranks weigh.")
    weights: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        default_factory=dict, description="How much each part counts, by its name; 1 if it is not named."
    )
    normalisation: Normalisation = Field(
        "min_max", description="What scores become before they are summed; none takes them as they are."
    )

"""The settings of BM25, as the YAML spells them."""

from typing import Any, Literal, Self, get_args

from pydantic import Field, model_validator

from ragkit.index.part import PartSettings

ANALYSIS = "NFKC, lower case, Unicode words, pairs of characters in unspaced scripts; 1"
"""Names the rules of the analyser in the manifest; the number goes up with every change of what comes out."""

Tokens = Literal["words", "whitespace"]
Statistics = Literal["corpus", "filter"]
Bm25Method = Literal["lucene", "robertson", "atire", "bm25l", "bm25+"]
Engine = Literal["bm25s", "rank-bm25"]
Stemmer = Literal[
    "arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "finnish", "french", "german", "greek",
    "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian", "nepali", "norwegian", "porter",
    "portuguese", "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish", "yiddish",
]  # fmt: skip
Stopwords = Literal[
    "chinese", "danish", "dutch", "english", "english_plus", "french", "german", "italian", "korean", "norwegian",
    "portuguese", "russian", "spanish", "swedish", "turkish",
]  # fmt: skip

_OTHER_LANGUAGES = frozenset(get_args(Stemmer)) - {"english", "porter"}

REFERENCES = {"robertson": "BM25Okapi", "bm25l": "BM25L", "bm25+": "BM25Plus"}
"""The class of rank-bm25 that stands for a variant."""


class SparseSettings(PartSettings):
    """BM25 over stemmed words.

    How the variants compare with the classes of rank-bm25:

    - `robertson` is Okapi. BM25Okapi scores k1 + 1 times as high, for words that less than half of the passages hold;
      more common words score 0 here and a quarter of the mean idf there.
    - `bm25l` follows the paper. BM25L multiplies by the word's frequency once more and gives nothing for words that
      a passage lacks, so it is another function.
    - `bm25+` scores like BM25Plus.
    - `lucene` (today's Lucene, with exact lengths) and `atire` have no class there.

    Source: Kamphuis et al. 2020, Which BM25 do you mean?; Trotman et al. 2014, Improvements to BM25 examined.
    """

    method: Bm25Method = Field("lucene", description="The variant of BM25.")
    tokens: Tokens = Field(
        "words", description="words: lower-case Unicode words; whitespace: what stands between white space, as it is."
    )
    statistics: Statistics = Field(
        "corpus",
        description="What idf and mean length are taken from: all passages, or those that a search's filter lets "
        "through (of a question about one document, its own).",
    )
    stemmer: Stemmer | None = Field("english", description="A Snowball stemmer; null leaves words as they are.")
    stopwords: Stopwords | None = Field(
        "english",
        description="A list of words to leave out; null keeps all. By default that of the stemmer's language, if any.",
    )
    fold_accents: bool = Field(True, description="Whether Latin letters match with and without accents.")
    k1: float = Field(1.5, ge=0, le=10, allow_inf_nan=False, description="How slowly repeated words saturate.")
    b: float = Field(0.75, ge=0, le=1, description="How far long passages are held back, from 0 to 1.")
    delta: float = Field(0.5, ge=0, le=10, description="The lower bound of a matching word (bm25l and bm25+ only).")
    engine: Engine = Field(
        "bm25s", description="What searches; rank-bm25 is slow and in memory, to check robertson, bm25l or bm25+."
    )

    @model_validator(mode="before")
    @classmethod
    def _stopwords_of_the_stemmer(cls, settings: Any) -> Any:
        # English words such as "die", "war" and "man" mean something in German, and "der" does not in English.
        if isinstance(settings, dict) and "stopwords" not in settings and settings.get("stemmer") in _OTHER_LANGUAGES:
            language = settings["stemmer"]
            return settings | {"stopwords": language if language in get_args(Stopwords) else None}
        return settings

    @model_validator(mode="after")
    def _white_space_alone(self) -> Self:
        if self.tokens == "whitespace" and (self.stemmer or self.stopwords or self.fold_accents):
            raise ValueError(
                "tokens: whitespace leaves words as they are: set stemmer: null, stopwords: null, fold_accents: false"
            )
        return self

    @model_validator(mode="after")
    def _engine_has_the_method(self) -> Self:
        if self.engine == "rank-bm25" and self.method not in REFERENCES:
            raise ValueError(f"rank-bm25 has no '{self.method}', only {', '.join(REFERENCES)}")
        return self

    def built_with(self) -> dict[str, Any]:
        """Return what the files depend on."""
        settings = self.model_dump(exclude={"engine", "statistics", "tokens"}) | {"analysis": ANALYSIS}
        # With words it stays what it was before there was a choice, and so do the indexes that are there.
        return settings if self.tokens == "words" else settings | {"tokens": self.tokens}

    def searched_with(self) -> dict[str, Any]:
        """Return what else scores depend on."""
        chosen = {"engine": self.engine}
        return chosen if self.statistics == "corpus" else chosen | {"statistics": self.statistics}

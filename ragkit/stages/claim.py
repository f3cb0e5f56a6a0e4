"""Make a claim to search for of a post."""

import html
import unicodedata
from typing import Any

import regex

from ragkit.engine.calls import flag
from ragkit.engine.stage import Stage, stage

FALLBACK = "rewrite.claim:fallback"
"""Flag of a question of which no word was left, so that it was searched for as it is."""

_LINK = regex.compile(r"(?i)\b(?:https?://|www\.|pic\.twitter\.com/)\S+")
_MARKDOWN_LINK = regex.compile(r"\[([^\]]*)\]\([^)\s]*\)")
_USER = regex.compile(r"(?<![\w@])(?:RT\s+)?@\w+:?")
_REDDIT_USER = regex.compile(r"(?<![\w/])/?[ru]/\w+")
_HASHTAG = regex.compile(r"(?<![\w&])#(\w+)")
_EMOJI = regex.compile(r"(?:[\p{Emoji_Presentation}\p{Extended_Pictographic}\p{Emoji_Modifier}\u20e3\ufe0f\u200d])+")
_REPEATED = regex.compile(r"([!?.])\1+")
_INSIDE_WORD = regex.compile(r"(?<=\p{L}\p{Ll})(?=\p{Lu}(?!\d))|(?<=\p{Lu})(?=\p{Lu}\p{Ll})|(?<=\d)(?=\p{Lu}\p{Ll})|_+")


@stage("rewrite.claim", writes=("queries", "vars.claim"))
class RewriteClaim(Stage):
    """Turn a post into the claim that it makes: `vars.claim`, which is also the only one of `queries`.

    Links, emoji and user names go, letters that are only drawn as bold or script become plain, and a hashtag becomes
    its words (`#VaccinesCauseAutism` is searched for as `Vaccines Cause Autism`): BM25 knows none of these. A post of
    which no word is left is searched for as it is, and flagged.

    Source: the need, Yue et al. 2024 (RARG), arXiv 2403.14952, and Nguyen et al. 2020 (BERTweet), arXiv 2005.10200,
    which normalises links, users and emoji; the rules are ours.
    """

    async def run(self, question: str) -> dict[str, Any]:
        """Return the claim, as the query and by its name."""
        claim = claim_of(question)
        if not claim:
            flag(FALLBACK)
            claim = question
        return {"queries": (claim,), "vars.claim": claim}


def claim_of(post: str) -> str:
    """Return a post without what only a network's readers need; empty if no letter or digit is left."""
    text = unicodedata.normalize("NFKC", html.unescape(post))
    text = _LINK.sub(" ", _MARKDOWN_LINK.sub(r"\1 ", text))
    text = _REDDIT_USER.sub(" ", _USER.sub(" ", text))
    text = _HASHTAG.sub(lambda tag: words_of(tag[1]), text)
    text = _REPEATED.sub(r"\1", _EMOJI.sub(" ", text))
    text = regex.sub(r"\s+([,.;:!?])", r"\1", " ".join(text.split()))
    return text if any(letter.isalnum() for letter in text) else ""


def words_of(tag: str) -> str:
    """Return the words of a hashtag: at capitals and underscores, but not inside `COVID19`, `CoV2` or `mRNA`."""
    return " ".join(part for part in _INSIDE_WORD.split(tag) if part)

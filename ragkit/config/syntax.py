"""What breaks the syntax of YAML, in words for the user: the parser's own speak of tokens and scalars."""

import re

import yaml

_WORDS = (
    (r"mapping values are not allowed", "a ':' that cannot stand here; put a text that holds one in quotes"),
    (r"sequence entries are not allowed", "a '-' that cannot stand here; list items start on lines of their own"),
    (r"found character '\\t'", "a tab; indent with spaces"),
    (r"found character '(.)' that cannot start", r"a text that starts with '\1'; put it in quotes"),
    (r"found undefined alias '(.*)'", r"nothing above is anchored as '&\1'"),
    (r"found unknown escape character", "an unknown escape in a text in double quotes; single quotes take it as it is"),
    (r"but found another document", "a second document; a pipeline file holds one, so remove the '---'"),
    (r"expected '<document start>'", "the indentation differs from that of the lines above"),
)
_OPENED = (
    ("flow sequence", "the list opened by '[' in line {line} is not closed, or a ',' is missing"),
    ("flow mapping", "the mapping opened by '{{' in line {line} is not closed, or a ',' is missing"),
    ("quoted scalar", "the quoted text that starts in line {line} is not closed"),
    ("block", "the indentation does not fit the block that starts in line {line}"),
    ("simple key", "a key without ':' in line {line}"),
)


def in_words(error: yaml.MarkedYAMLError) -> str:
    """Return what is wrong and what to do about it; the parser's own words where no better ones are known."""
    problem, context = error.problem or "", error.context or ""
    for pattern, words in _WORDS:
        if match := re.search(pattern, problem):
            return match.expand(words)
    for opened, words in _OPENED:
        if opened in context and error.context_mark:
            return words.format(line=error.context_mark.line + 1)
    return problem or context

"""What stands in for a response that cannot be used. Nothing in these was written by a model."""

from ragkit.engine.state import Documents
from ragkit.stages.refuting.response import read_response

_ABSTAINED = (
    "No evidence that refutes or settles this claim was found, so this response does not judge it. "
    "A health professional or a public health authority can say more."
)
_QUOTED = "The evidence that was found does not support this claim. It says: “{quote}” [{number}]."
_LONGEST = 60


def abstention() -> str:
    """Return what is said where nothing refutes the claim."""
    return _ABSTAINED


def quoted_evidence(documents: Documents) -> str | None:
    """Return a response that quotes the first refuting passage; None where none is known to refute.

    The quotation is of whole sentences from the passage's beginning, the first one and what fits beside it.
    """
    refuting = (n for n, passage in enumerate(documents, 1) if passage.metadata.get("stance") == "refutes")
    number = next(refuting, None)
    if number is None:
        return None
    quote, room = "", _LONGEST
    for sentence in read_response(documents[number - 1].page_content):
        size = len(sentence.marked.split())
        if quote and size > room:
            break
        quote, room = f"{quote} {sentence.marked}".strip(), room - size
    return _QUOTED.format(quote=quote.rstrip(".").replace("[", "(").replace("]", ")"), number=number)

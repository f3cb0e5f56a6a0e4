"""Real text for the benches: passages of the field guide's PDFs."""

from common import ROOT

from ragkit.documents import Chunking, IngestReport, cut, discover, load_documents


def passages(size: int, count: int) -> list[str]:
    """Return `count` different passages of at most `size` tokens (estimated) in the order of the corpus."""
    files = discover(["corpora/fieldguide/*.pdf"], ROOT)
    texts: dict[str, None] = {}
    for document in load_documents(files, IngestReport()):
        for passage in cut(document, Chunking(size=size)).passages:
            texts[passage.page_content] = None
            if len(texts) == count:
                return list(texts)
    raise SystemExit(f"the field guide has only {len(texts)} passages of {size} tokens, not {count}")

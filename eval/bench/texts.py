"""Real text for the benches: passages of the field guide's PDFs."""

from common import ROOT

from ragkit.documents import Chunking, IngestReport, PdfSettings, cut, discover, read_file


def passages(size: int, count: int) -> list[str]:
    """Return `count` different passages of at most `size` tokens (estimated) in the order of the corpus."""
    files = discover(["corpora/fieldguide/*.pdf"], ROOT)
    texts: dict[str, None] = {}
    report = IngestReport()
    for document in (document for file in files for document in read_file(file, report, PdfSettings())):
        for passage in cut(document, Chunking(size=size)).passages:
            texts[passage.page_content] = None
            if len(texts) == count:
                return list(texts)
    raise SystemExit(f"the field guide has only {len(texts)} passages of {size} tokens, not {count}")

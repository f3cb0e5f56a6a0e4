"""HTML: the text that a reader sees, one block per block-level element."""

import re
from collections.abc import Iterator

from ragkit.documents.document import IngestReport, SourceDocument, SourceFile
from ragkit.documents.text import clean, unpaged

_INVISIBLE = ("script", "style", "template", "noscript", "svg", "head")
_BLOCKS = re.compile(
    "address|article|aside|blockquote|caption|dd|details|div|dl|dt|fieldset|figcaption|figure|footer|form|h[1-6]|header"
    "|hr|li|main|nav|ol|option|p|pre|section|summary|table|tr|ul"
)


def read_html(file: SourceFile, report: IngestReport) -> Iterator[SourceDocument]:
    """Read an HTML file as one document, with the content of `<title>` as its title."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(file.path.read_bytes(), "html.parser")
    title = " ".join(soup.title.get_text().split()) if soup.title else None
    for element in soup.find_all(_INVISIBLE):
        element.decompose()
    for element in soup.find_all("br"):
        element.replace_with(" ")
    for element in soup.find_all(("td", "th")):
        element.append("\t")
    for element in soup.find_all(lambda tag: bool(_BLOCKS.fullmatch(tag.name))):
        element.insert_before("\0")
        element.insert_after("\0")
    blocks = [re.sub(r"\s+", " ", block).strip() for block in soup.get_text().split("\0")]
    yield unpaged(file, [clean(block) for block in blocks], clean(title) if title else None)

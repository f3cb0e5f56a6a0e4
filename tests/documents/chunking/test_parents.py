import pytest

from ragkit.documents import Block, Chunking, Page, SourceDocument, cut
from ragkit.documents.chunking import estimate_tokens

SENTENCE = "Wheat needs about five hundred millimetres of rain in a season."


def heading(text, level=1):
    return Block(text, kind="heading", level=level)


def paged(*pages):
    return SourceDocument("a.pdf", tuple(Page(n, tuple(blocks)) for n, blocks in enumerate(pages, 1)), {"source": "a"})


def parents_of(document, parent, size=1000, **settings):
    found = cut(document, Chunking(size=30, parent={"by": parent, "size": size}, **settings))
    named = {larger.id: larger for larger in found.parents}
    assert len(named) == len(found.parents)
    for passage in found.passages:
        around = named[passage.metadata["parent"]]
        assert passage.page_content in around.page_content
        assert passage.metadata.get("page") == around.metadata.get("page")
    assert {passage.metadata["parent"] for passage in found.passages} == named.keys()
    return found


@pytest.mark.parametrize("by", ["tokens", "sentences", "layout"])
def test_the_page_is_the_parent(by):
    found = parents_of(paged([Block(SENTENCE)] * 5, [Block("Two.", (1, 2, 3, 4))]), "page", by=by)
    assert [parent.id for parent in found.parents] == ["a.pdf#p1", "a.pdf#p2"]
    assert found.parents[0].page_content == "\n\n".join([SENTENCE] * 5)
    assert found.parents[1].metadata == {"source": "a", "page": 2, "box": [1, 2, 3, 4]}
    assert [p.id for p in found.passages][-2:] == ["a.pdf#p1.c2", "a.pdf#p2.c0"]


def test_the_section_is_the_parent():
    first = [heading("Soil"), *[Block(SENTENCE)] * 3, heading("Water"), heading("Rain", 2), Block("Wet.")]
    found = parents_of(paged(first, [Block("More rain.")]), "section", by="layout")
    assert [parent.id for parent in found.parents] == ["a.pdf#p1.s0", "a.pdf#p1.s1", "a.pdf#p2.s0"]
    assert found.parents[1].page_content == "Water\n\nRain\n\nWet."
    assert [parent.metadata["section"] for parent in found.parents] == [["Soil"], ["Water", "Rain"], ["Water", "Rain"]]


@pytest.mark.parametrize("parent", ["section", "size", "page"])
def test_parents_keep_to_their_size_in_documents_without_pages(parent):
    document = SourceDocument("a.txt", (Page(None, (Block(SENTENCE * 30), *[Block(SENTENCE)] * 30)),), {})
    found = parents_of(document, parent, size=100, by="tokens")
    assert all(estimate_tokens(larger.page_content) <= 100 for larger in found.parents)
    assert [larger.id for larger in found.parents] == [f"a.txt.s{n}" for n in range(len(found.parents))]
    assert [passage.id for passage in found.passages] == [f"a.txt.c{n}" for n in range(len(found.passages))]
    assert sum(larger.page_content.count("Wheat") for larger in found.parents) == 60


def test_a_table_is_not_cut_by_its_parent():
    table = Block("| a |\n| --- |\n" + "| row |\n" * 60, kind="table")
    found = parents_of(paged([Block(SENTENCE), table, Block(SENTENCE)]), "size", size=60, by="layout")
    assert table.text.strip() in [larger.page_content for larger in found.parents]


def test_without_parents_there_are_none():
    assert cut(paged([Block("One.")]), Chunking()).parents == ()
    assert parents_of(paged([]), "page").passages == ()

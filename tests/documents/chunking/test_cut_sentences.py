from itertools import pairwise

import pytest

from ragkit.documents import Block, Chunking, Page, SourceDocument, cut
from ragkit.documents.chunking import estimate_tokens


def page(*blocks):
    return SourceDocument("a.pdf", (Page(1, tuple(blocks)),), {})


def texts(document, **settings):
    return [passage.page_content for passage in cut(document, Chunking(by="sentences", **settings)).passages]


def test_whole_sentences_up_to_the_size():
    text = (
        "Dr. Smith et al. saw 5.2 mm of rain, i.e. too little. See Fig. 3 for the details of it. Is it so? Yes it is."
    )
    assert texts(page(Block(text)), size=24) == [
        "Dr. Smith et al. saw 5.2 mm of rain, i.e. too little.",
        "See Fig. 3 for the details of it. Is it so? Yes it is.",
    ]


def test_chinese_sentences():
    assert texts(page(Block("小麦需要水。" * 8)), size=16) == ["小麦需要水。小麦需要水。"] * 4


def test_blocks_and_rows_end_sentences():
    blocks = Block("one heading here"), Block("one two\nthree"), Block("| a |\n| --- |\n| b |", kind="table")
    found = texts(page(*blocks), size=16)
    assert found == ["one heading here\n\none two\nthree\n\n| a |\n| --- |", "| b |"]


@pytest.mark.parametrize("overlap", [1, 2, 3])
def test_overlap_counts_sentences(overlap):
    sentences = [f"Sentence number {number} is here." for number in range(12)]
    found = texts(page(Block(" ".join(sentences))), size=30, overlap=overlap)
    pieces = [[s for s in sentences if s in text] for text in found]
    assert [s for n, piece in enumerate(pieces) for s in (piece[overlap:] if n else piece)] == sentences
    assert all(before[-overlap:] == after[:overlap] for before, after in pairwise(pieces))


def test_less_is_repeated_where_the_next_sentence_would_not_fit():
    long = "word " * 19 + "end."
    found = texts(page(Block(f"Short one. {long} Short number two.")), size=24, overlap=1)
    assert found == [f"Short one. {long}", "Short number two."]
    assert texts(page(Block(f"Short one. {long} Short two.")), size=24, overlap=1)[1] == f"{long} Short two."


def test_a_sentence_that_is_too_long_is_cut():
    found = texts(page(Block("word " * 300)), size=20)
    assert all(estimate_tokens(text) <= 20 for text in found)
    assert sum(text.count("word") for text in found) == 300


def test_places():
    blocks = [Block("First sentence here.", (0, 0, 9, 9)), Block("Second sentence here.", (0, 20, 9, 29))]
    document = page(*(block._replace(text=block.text * 4) for block in blocks))
    boxes = [passage.metadata["box"] for passage in cut(document, Chunking(by="sentences", size=16)).passages]
    assert boxes[0] == [0, 0, 9, 9] and boxes[-1] == [0, 20, 9, 29]

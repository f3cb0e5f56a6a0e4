from ragkit.engine.state import Hit, Passage
from ragkit.index import reciprocal_rank_fusion


def ranking(stage, *names):
    return tuple(
        Passage(id=name, page_content=name, score=9.0, hits=(Hit(stage, "q", rank, 9.0),))
        for rank, name in enumerate(names, start=1)
    )


def test_scores_order_and_hits():
    fused = reciprocal_rank_fusion([ranking("dense", "a", "b", "c"), ranking("sparse", "c", "d")], 10, 10)
    assert [passage.id for passage in fused] == ["c", "a", "b", "d"]
    assert fused[0].score == 1 / 13 + 1 / 11 and fused[1].score == 1 / 11
    assert [hit.stage for hit in fused[0].hits] == ["dense", "sparse"]


def test_ties_stay_in_order_of_first_appearance():
    fused = reciprocal_rank_fusion([ranking("dense", "x", "y"), ranking("sparse", "a", "b")], 60, 10)
    assert [passage.id for passage in fused] == ["x", "a", "y", "b"]


def test_limit_and_nothing():
    assert len(reciprocal_rank_fusion([ranking("dense", "a", "b", "c")], 10, 2)) == 2
    assert reciprocal_rank_fusion([], 10, 5) == reciprocal_rank_fusion([(), ()], 10, 5) == ()


def test_equal_hits_are_kept_once():
    same = ranking("dense", "a")
    (passage,) = reciprocal_rank_fusion([same, same], 10, 5)
    assert len(passage.hits) == 1 and passage.score == 2 / 11

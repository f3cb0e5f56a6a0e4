import pytest

from ragkit.engine.state import Hit, Passage
from ragkit.index import FusionSettings, choose_weights, reciprocal_rank_fusion
from ragkit.index.fusion import fuse, fuse_ranks, fuse_scores, normalise


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
    assert fuse_scores([[], []], [1, 1], "z_score", 5) == fuse_scores([], [], "none", 5) == []


def test_equal_hits_are_kept_once():
    same = ranking("dense", "a")
    (passage,) = reciprocal_rank_fusion([same, same], 10, 5)
    assert len(passage.hits) == 1 and passage.score == 2 / 11


def test_weighted_ranks():
    assert fuse_ranks([["a", "b"], ["b", "c"]], 0, 9, [2.0, 1.0]) == [("a", 2.0), ("b", 2.0), ("c", 0.5)]


@pytest.mark.parametrize(
    ("how", "scores", "expected"),
    [
        ("min_max", [9, 6, 5], [1, 0.25, 0]),
        ("min_max", [4], [1]),
        ("min_max", [2, 2], [1, 1]),
        ("z_score", [3, 1], [1, -1]),
        ("z_score", [5, 5], [0, 0]),
        ("none", [-3, -4], [-3, -4]),
        ("z_score", [], []),
    ],
)
def test_normalisation(how, scores, expected):
    assert normalise(scores, how) == pytest.approx(expected)


DENSE, SPARSE = [("a", 0.9), ("b", 0.8), ("c", 0.7)], [("c", 30.0), ("d", 10.0)]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        # a, b, c are 1, 0.5, 0 and c, d are 1, 0; what is missing is 0
        ("min_max", {"a": 0.6, "c": 0.4, "b": 0.3, "d": 0.0}),
        # a, b, c are 1.2247, 0, -1.2247 and c, d are 1, -1; missing in dense is -1.2247, in sparse -1
        ("z_score", {"a": 0.33485, "c": -0.33485, "b": -0.4, "d": -1.13485}),
        # missing in dense is 0.7, in sparse 10
        ("none", {"c": 12.42, "a": 4.54, "b": 4.48, "d": 4.42}),
    ],
)
def test_weighted_sums(how, expected):
    fused = fuse_scores([DENSE, SPARSE], [0.6, 0.4], how, 9)
    assert [name for name, _ in fused] == list(expected)
    assert dict(fused) == pytest.approx(expected, abs=1e-4)


def test_a_ranking_of_one_passage_counts_for_that_passage():
    fused = fuse_scores([[("a", 0.9), ("b", 0.8)], [("b", 3.0)]], [0.4, 0.6], "min_max", 9)
    assert fused == [("b", 0.6), ("a", 0.4)]
    assert fuse_scores([[("a", 0.9), ("b", 0.8)], []], [0.4, 0.6], "min_max", 9) == [("a", 0.4), ("b", 0.0)]


def test_settings_choose():
    rankings = {"dense": DENSE, "sparse": SPARSE}
    assert fuse(rankings, FusionSettings(k=0), 1) == [("c", 1 / 3 + 1.0)]
    weighted = FusionSettings(method="weighted_sum", weights={"dense": 3.0})
    assert fuse(rankings, weighted, 2) == [("a", 3.0), ("b", pytest.approx(1.5))]


def test_weights_are_chosen_by_recall():
    settings = FusionSettings(method="weighted_sum")
    right, wrong = [("r", 1.0), ("x", 0.0)], [("w", 1.0), ("r", 0.0)]
    questions = [{"dense": wrong, "sparse": right}] * 4
    weights = choose_weights(questions, [{"r"}] * 4, settings, k=1)
    assert weights == {"dense": 0.45, "sparse": 0.55}  # the nearest to equal of those that are right
    assert choose_weights(questions, [{"w"}] * 4, settings, k=1) == {"dense": 0.5, "sparse": 0.5}
    assert choose_weights(questions, [set()] * 4, settings, k=1) == choose_weights([], [], settings, k=1) == {}


def test_weights_of_three_parts():
    settings = FusionSettings(method="reciprocal_rank", k=1)
    questions = [{"a": [("x", 1)], "b": [("y", 1)], "c": [("z", 1)]}]
    weights = choose_weights(questions, [{"z"}], settings, k=1, steps=10)
    assert weights["c"] > max(weights["a"], weights["b"]) and sum(weights.values()) == pytest.approx(1)

"""Vectors of a memory: matches equal the exhaustive ones, whatever way they are found."""

import numpy as np
import pytest

from ragkit.memory import sketch
from ragkit.memory.sketch import Sketcher
from ragkit.memory.vectors import VectorFiles, VectorView

rng = np.random.default_rng(5)


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def titles(count, dimension, topic=40):
    """Return vectors in topics that all share a direction, as those of titles do."""
    centres = unit(rng.standard_normal((count // topic + 1, dimension)))
    shared = unit(rng.standard_normal(dimension))
    noise = unit(rng.standard_normal((count, dimension)))
    return unit(0.3 * shared + 0.75 * centres[np.arange(count) // topic] + 0.6 * noise)


def exhaustive(vectors, query, tau):
    return np.flatnonzero(vectors.astype(np.float64) @ query.astype(np.float64) >= tau - 1e-6).tolist()


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    made = titles(20_000, 96)
    files = VectorFiles(tmp_path_factory.mktemp("many"), 0, 96)
    files.write(0, made)
    return made, VectorView(files, len(made))


@pytest.mark.parametrize("tau", [0.3, 0.5, 0.6, 0.7, 0.9])
def test_matches_are_the_exhaustive_ones(many, tau):
    made, view = many
    for query in (*titles(40, 96)[:20], *made[::1000]):
        found, cosines = view.match(query, tau)
        assert found.tolist() == exhaustive(made, query, tau)
        assert np.allclose(cosines, made[found] @ query, atol=1e-6)


def test_codes_are_used_where_there_are_many_vectors(many, monkeypatch):
    made, view = many
    scanned = []
    monkeypatch.setattr(VectorView, "_scan", lambda *_: scanned.append(1) or np.arange(len(made)))
    assert view.match(made[7], 0.7)[0].tolist() == exhaustive(made, made[7], 0.7)
    assert not scanned
    assert view.match(made[7], -0.2)[0].tolist() == exhaustive(made, made[7], -0.2)  # nearly all: a scan is shorter
    assert scanned


def test_a_search_by_codes_is_widened_until_no_match_can_be_missing(many, monkeypatch):
    made, view = many
    monkeypatch.setattr(sketch, "_FIRST_FETCH", 2)
    monkeypatch.setattr(VectorView, "_scan", lambda *_: pytest.fail("all vectors were compared"))
    for query in made[::2000]:
        assert view.match(query, 0.8)[0].tolist() == exhaustive(made, query, 0.8)


def test_shards_are_searched_as_one(tmp_path, monkeypatch):
    monkeypatch.setattr(sketch, "SHARD", 5_000)
    made = titles(20_000, 96)
    files = VectorFiles(tmp_path, 0, 96)
    files.write(0, made)
    view = VectorView(files, 12_000)
    view.grow(20_000)
    assert len(view._index) == 20_000
    assert len(view._index._shards) == 4
    monkeypatch.setattr(VectorView, "_scan", lambda *_: pytest.fail("all vectors were compared"))
    for query in made[::1000]:
        assert view.match(query, 0.6)[0].tolist() == exhaustive(made, query, 0.6)


def test_estimates_are_unbiased_and_as_exact_as_foreseen():
    made = titles(4_000, 96)
    sketcher = Sketcher.create(96)
    index = sketcher.index(sketcher.encode(made))
    errors = []
    for query in made[:50]:
        scores, positions = index.search(sketcher.rotate(query[None]), len(made))
        errors.append(sketcher.cosines(scores[0]) - made[positions[0]] @ query)
    deviations = np.concatenate(errors) / sketcher.deviation
    assert abs(deviations.mean()) < 0.1
    assert 0.8 < deviations.std() < 1.2
    assert np.abs(deviations).max() < 6


def test_a_view_grows_as_if_it_were_opened_anew(tmp_path):
    made = titles(12_000, 96)
    files = VectorFiles(tmp_path, 0, 96)
    files.write(0, made[:9_000])
    view = VectorView(files, 9_000)
    files.write(9_000, made[9_000:])
    assert len(view) == 9_000
    assert view.match(made[9_500], 0.99)[0].tolist() == []
    view.grow(12_000)
    again = VectorView(files, 12_000)
    for query in made[::997]:
        assert view.match(query, 0.6)[0].tolist() == again.match(query, 0.6)[0].tolist() == exhaustive(made, query, 0.6)


@pytest.mark.parametrize("dimension", [1, 2, 63, 64, 65, 384])
def test_any_dimension_will_do(tmp_path, dimension):
    made = unit(rng.standard_normal((9_000, dimension)))
    files = VectorFiles(tmp_path, 0, dimension)
    files.write(0, made)
    view = VectorView(files, len(made))
    assert view.match(made[3], 0.8)[0].tolist() == exhaustive(made, made[3], 0.8)


def test_what_a_killed_writer_left_behind_is_written_over(tmp_path):
    made = titles(50, 96)
    files = VectorFiles(tmp_path, 0, 96)
    files.write(0, made[:20])
    files.write(20, made[20:])  # never committed
    files.write(20, made[30:40])
    view = VectorView(files, 30)
    assert np.array_equal(view.gram(np.arange(30)).diagonal().round(4), np.ones(30, np.float32))
    assert view.match(made[35], 0.999)[0].tolist() == [25]

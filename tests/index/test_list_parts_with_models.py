"""The learned sparse and the multi-vector part with tiny models of sentence-transformers."""

import asyncio
import sys
from pathlib import Path

import pytest

from ragkit.index.learned_sparse import LearnedSparseIndex, LearnedSparseSettings, build_learned_sparse
from ragkit.index.multi_vector import MultiVectorIndex, MultiVectorSettings, build_multi_vector
from ragkit.index.part import Growth
from ragkit.models import SentenceTransformerMultiVectorEncoder, SentenceTransformerSparseEncoder

sys.path.append(str(Path(__file__).parents[1] / "models"))
from tiny_models import multi_vector_encoder, sparse_encoder

pytestmark = pytest.mark.models

TEXTS = ["Wheat is sown in autumn.", "Maize needs warm soil.", "A silo keeps grain dry.", "Yellow rust lowers yields."]


class Texts(list):
    def read(self, start, stop):
        return self[start:stop]


def test_learned_sparse(tmp_path, monkeypatch):
    from sentence_transformers import SparseEncoder

    monkeypatch.setenv("RAGKIT_HOME", str(tmp_path))
    folder = sparse_encoder(tmp_path)
    encoder = SentenceTransformerSparseEncoder(model=folder, device="cpu", dtype="float32", max_active=64)
    settings = LearnedSparseSettings(encoder=encoder)
    build_learned_sparse(settings, Growth(Texts(TEXTS), tmp_path / "work"), tmp_path / "x")
    query = asyncio.run(settings.query("dry grain"))
    (ranking,) = LearnedSparseIndex(tmp_path / "x", settings).search([query], 4)
    raw = SparseEncoder(folder, device="cpu")
    limits = {"max_active_dims": 64}
    expected = raw.similarity(raw.encode_query(["dry grain"], **limits), raw.encode_document(TEXTS, **limits))[0]
    found = dict(ranking)
    assert [found.get(n, 0.0) for n in range(4)] == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-3)


def test_multi_vector(tmp_path, monkeypatch):
    from sentence_transformers import MultiVectorEncoder

    monkeypatch.setenv("RAGKIT_HOME", str(tmp_path))
    folder = multi_vector_encoder(tmp_path)
    encoder = SentenceTransformerMultiVectorEncoder(model=folder, device="cpu", dtype="float32")
    settings = MultiVectorSettings(encoder=encoder, precision="float32")
    build_multi_vector(settings, Growth(Texts(TEXTS), tmp_path / "work"), tmp_path / "x")
    query = asyncio.run(settings.query("dry grain"))
    (ranking,) = MultiVectorIndex(tmp_path / "x", settings).search([query], 4)
    raw = MultiVectorEncoder(folder, device="cpu")
    options = {"normalize_embeddings": True}
    expected = raw.similarity(raw.encode_query(["dry grain"], **options), raw.encode_document(TEXTS, **options))[0]
    assert [dict(ranking)[n] for n in range(4)] == pytest.approx(expected.tolist(), abs=1e-4)

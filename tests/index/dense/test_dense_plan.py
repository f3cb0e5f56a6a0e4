import faiss
import pytest
from dense_fakes import build, clustered

from ragkit.errors import InputError
from ragkit.index.dense.plan import Machine, plan

GIGA = 10**9
ROOMY = Machine(ram=100 * GIGA, vram=80 * GIGA, disk=1000 * GIGA)


@pytest.mark.parametrize(("n", "dimension"), [(6000, 32), (2500, 64)])
def test_bytes_are_those_of_the_files(tmp_path, n, dimension):
    vectors = clustered(n, dimension)
    for row in plan(n, dimension, machine=ROOMY):
        part = build(
            tmp_path / row.factory / row.precision, vectors, factory=row.factory, work=tmp_path / "work", train_on=1500
        )
        size = (part.folder / "vectors.faiss").stat().st_size
        assert row.disk == pytest.approx(size, rel=0.05), row.factory
        assert row.ram == row.disk and row.build_disk == row.disk + 4 * n * dimension
        index = faiss.read_index(str(part.folder / "vectors.faiss"))
        assert len(faiss.serialize_index(index)) == size
        part.open(search=row.search)


def test_a_million():
    rows = {(row.factory, row.precision): row for row in plan(1_000_000, 384, machine=ROOMY)}
    assert list(rows) == [
        ("Flat", "float32"),
        ("Flat", "float16"),
        ("SQfp16", "float32"),
        ("IVF4096,Flat", "float32"),
        ("HNSW32", "float32"),
        ("IVF4096,PQ48np", "float32"),
    ]
    assert rows["Flat", "float32"].disk == 1_536_000_000 == 2 * rows["Flat", "float16"].vram
    assert rows["IVF4096,PQ48np", "float32"].needs == 4096
    assert rows["HNSW32", "float32"].vram is None
    assert all(all(row.fits.values()) for row in rows.values() if row.vram is not None)


def test_what_fits():
    machine = Machine(ram=1 * GIGA, vram=1 * GIGA, disk=3 * GIGA)
    rows = plan(1_000_000, 384, machine=machine)
    flat, half, rounded = rows[:3]
    assert flat.fits == {"ram": False, "build_ram": True, "vram": False, "disk": False, "vectors": True}
    assert half.fits["vram"] is True
    assert rounded.fits == {"ram": True, "build_ram": False, "vram": None, "disk": True, "vectors": True}
    no_gpu = plan(100, 8, machine=Machine(ram=GIGA, vram=None, disk=GIGA))
    assert all(row.fits["vram"] is None for row in no_gpu)
    assert [row.fits["vectors"] for row in no_gpu] == [True] * 5 + [False]


def test_recall_on_a_sample():
    rows = plan(1_000_000, 32, clustered(2000), ROOMY)
    recalls = {row.factory: row.recall for row in rows}
    assert rows[0].recall == 1 and rows[1].recall > 0.97 and recalls["HNSW32"] > 0.9
    assert 0.2 < recalls["IVF4096,PQ4np"] < recalls["IVF4096,Flat"] <= 1
    assert plan(1000, 32, clustered(200), ROOMY)[-1].recall is None  # too few to train on
    assert plan(1000, 32, clustered(300) * 9, ROOMY, "l2")[0].recall == 1


def test_wrong_input():
    with pytest.raises(InputError, match="at least 1 vector"):
        plan(0, 5)
    for sample in (clustered(19), clustered(30, 16)):
        with pytest.raises(InputError, match=r"at least \(20, 32\) is needed"):
            plan(100, 32, sample, ROOMY)


def test_this_machine(tmp_path):
    machine = Machine.here(tmp_path / "not" / "yet")
    assert machine.ram > 0 and machine.disk > 0 and (machine.vram is None or machine.vram > 0)

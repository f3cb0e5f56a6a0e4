"""A tuning goes on only as it began."""

import json

import pytest

from ragkit.errors import InputError
from ragkit.tuning.folder import TuningFolder

LOCK = {"recipe": {"training": {"steps": 3}}, "base": {"weights": "sha256:1"}, "gate": {"metric": "f1"}}


def begun(path, rows="77"):
    with TuningFolder(path, LOCK, resume=False) as folder:
        folder.keep_rows(rows)
    (path / "gate").mkdir()
    return path


def test_what_is_there_is_resumed_only_when_told(tmp_path):
    begun(tmp_path / "x")
    with (
        pytest.raises(InputError, match="holds this tuning already: go on with --resume"),
        TuningFolder(tmp_path / "x", LOCK, resume=False),
    ):
        pass
    with TuningFolder(tmp_path / "x", LOCK, resume=True) as folder:
        folder.keep_rows("77")
    assert (tmp_path / "x" / "gate").is_dir()
    assert json.loads((tmp_path / "x" / "tuning.lock.json").read_text()) == LOCK | {"rows": "77"}


@pytest.mark.parametrize("resume", [True, False])
def test_another_tuning_is_refused_with_what_differs(tmp_path, resume):
    begun(tmp_path / "x")
    other = LOCK | {"base": {"weights": "sha256:2"}}
    message = "holds another tuning.*\n  base.weights: 'sha256:1' then, 'sha256:2' now\n.*--out"
    with pytest.raises(InputError, match=message), TuningFolder(tmp_path / "x", other, resume=resume):
        pass


def test_other_rows_are_refused(tmp_path):
    begun(tmp_path / "x")
    with (
        TuningFolder(tmp_path / "x", LOCK, resume=True) as folder,
        pytest.raises(InputError, match="no longer those that this tuning began with"),
    ):
        folder.keep_rows("78")


def test_rows_are_known_after_a_stop_before_them(tmp_path):
    with TuningFolder(tmp_path / "x", LOCK, resume=False):
        pass
    with TuningFolder(tmp_path / "x", LOCK, resume=True) as folder:
        folder.keep_rows("77")


def test_another_gate_is_run_anew(tmp_path):
    begun(tmp_path / "x")
    with TuningFolder(tmp_path / "x", LOCK | {"gate": {"metric": "em"}}, resume=True):
        pass
    assert not (tmp_path / "x" / "gate").exists()


def test_two_processes_do_not_share_a_folder(tmp_path):
    with (
        TuningFolder(tmp_path / "x", LOCK, resume=False),
        pytest.raises(InputError, match="another process is writing"),
        TuningFolder(tmp_path / "x", LOCK, resume=True),
    ):
        pass


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(InputError, match="is a file"), TuningFolder(tmp_path / "x", LOCK, resume=False):
        pass


def test_a_damaged_lock_is_named(tmp_path):
    begun(tmp_path / "x")
    (tmp_path / "x" / "tuning.lock.json").write_text("{")
    with (
        pytest.raises(InputError, match=r"tuning\.lock\.json: the file is damaged"),
        TuningFolder(tmp_path / "x", LOCK, resume=True),
    ):
        pass

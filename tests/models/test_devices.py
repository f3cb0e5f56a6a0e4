import pytest

from ragkit.errors import InputError
from ragkit.models import devices
from ragkit.models.devices import check, resolve_device, resolve_dtype
from ragkit.models.transformers_lm import TransformersModel


@pytest.fixture
def machine(monkeypatch):
    def make(capability=None, flags=()):
        monkeypatch.setattr(devices, "_cuda_capability", lambda: capability)
        monkeypatch.setattr(devices, "_cpu_flags", lambda: frozenset(flags))
        monkeypatch.setattr(devices.sys, "platform", "linux")

    return make


def test_auto_takes_the_gpu(machine):
    machine(capability=(8, 0))
    assert (resolve_device("auto"), resolve_dtype("auto", "cuda")) == ("cuda", "bfloat16")
    machine(capability=(7, 5))
    assert resolve_dtype("auto", "cuda:1") == "float32"


def test_auto_without_gpu(machine):
    machine(flags={"avx2"})
    assert (resolve_device("auto"), resolve_dtype("auto", "cpu")) == ("cpu", "float32")
    machine(flags={"avx512_bf16"})
    assert resolve_dtype("auto", "cpu") == "bfloat16"
    assert resolve_dtype("auto", "mps") == "float32"


def test_what_the_user_says_counts(machine):
    machine(capability=(9, 0), flags={"amx_bf16"})
    assert (resolve_device("cpu"), resolve_dtype("float32", "cuda")) == ("cpu", "float32")


def test_device_and_dtype_are_in_the_fingerprint(machine):
    prints = []
    for capability, flags in [((9, 0), ()), (None, ()), (None, {"amx_bf16"})]:
        machine(capability, flags)
        prints.append(TransformersModel(model="embedded:smollm2-135m-instruct").fingerprint())
    assert len(set(prints)) == 3


def test_a_gpu_that_torch_cannot_use_is_refused(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"auto means cuda here.*device: cpu"):
        check("auto", "cuda")
    check("auto", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="set device: cuda"):
        check("auto", "cpu")
    check("cpu", "cpu")
    with pytest.raises(InputError, match="only 1 CUDA"):
        check("cuda:3", "cuda:3")


def test_hidden_gpus_are_not_there(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    devices._cuda_capability.cache_clear()
    assert devices._cuda_capability() is None
    devices._cuda_capability.cache_clear()


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cpu:0", ""])
def test_unknown_devices_are_refused(device):
    with pytest.raises(ValueError, match="device"):
        TransformersModel(model="m", device=device)

import pytest

from ctxenc.sweeps import gpu_assignment


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch):
    for name in ("CUDA_VISIBLE_DEVICES", "XLA_PYTHON_CLIENT_MEM_FRACTION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("XLA_PYTHON_CLIENT_PREALLOCATE", raising=False)


def test_a_worker_for_each_gpu_has_one_to_itself():
    found = [gpu_assignment.environment(k, 2, ["0", "3"]) for k in range(2)]
    assert found == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "3"}]


def test_workers_that_share_a_gpu_share_its_memory(monkeypatch):
    found = [gpu_assignment.environment(k, 3, ["0", "1"]) for k in range(3)]
    assert [f["CUDA_VISIBLE_DEVICES"] for f in found] == ["0", "1", "0"]
    assert {f["XLA_PYTHON_CLIENT_MEM_FRACTION"] for f in found} == {"0.450"}
    monkeypatch.setattr(gpu_assignment.os, "cpu_count", lambda: 8)
    assert gpu_assignment.environment(0, -1, ["0"])["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.113"


def test_the_users_own_share_wins(monkeypatch):
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    assert gpu_assignment.environment(1, 4, ["0"]) == {"CUDA_VISIBLE_DEVICES": "0"}


def test_nothing_is_said_where_there_are_no_gpus():
    assert gpu_assignment.environment(0, 4, []) == {}


def test_gpus_are_those_that_are_allowed(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, GPU-abc")
    assert gpu_assignment.gpus() == ["2", "GPU-abc"]
    assert gpu_assignment.jobs_at_once() == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpu_assignment.gpus() == []
    monkeypatch.setattr(gpu_assignment.os, "cpu_count", lambda: 9)
    assert gpu_assignment.jobs_at_once() == 4


def test_a_slot_is_taken_once_and_held(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,6")
    (tmp_path / ".gpu_slots").mkdir()
    with gpu_assignment.filelock.FileLock(tmp_path / ".gpu_slots" / "0"):  # another worker's
        held = gpu_assignment.take_slot(tmp_path, 2)
    assert gpu_assignment.take_slot(tmp_path, 2) is held  # and not the first, free again
    assert held.is_locked
    assert gpu_assignment.os.environ["CUDA_VISIBLE_DEVICES"] == "6"
    held.release()

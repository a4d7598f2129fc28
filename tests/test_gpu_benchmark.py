"""`benchmarks/gpu.py` on a CPU: its parts measure, and no part's end is that of the others."""

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = str(Path(__file__).parents[1] / "benchmarks")


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import gpu
    import gpu_parts

    return gpu, gpu_parts


def test_steps_and_sweeps_are_timed_where_there_is_no_gpu(scripts):
    _, parts = scripts
    rates, *steps = parts.step(tiny=True, data_dir=None)
    assert set(rates["tflops"]) == {"tf32", "float32", "bfloat16"}
    assert all(rate > 0 for rate in rates["tflops"].values())
    timed = [line for line in steps if line.get("contender") == "ctxenc"]
    assert [line["precision"] for line in timed] == ["float32", "bfloat16"]
    assert all(line["ms"] > 0 and line["of_matrix_rate"] > 0 for line in timed)
    if "torch" not in sys.modules:
        assert {"skipped": "PyTorch's steps: PyTorch is not installed"} in steps
    sweeps = list(parts.sweep(tiny=True, data_dir=None))
    found = [(line["convolutions"], line["jobs"]) for line in sweeps]
    assert found == [("cudnn", 2), ("products", 2)]
    assert all(line["ratio"] > 0 for line in sweeps)
    assert "--data-dir" in next(parts.train(tiny=False, data_dir=None))["skipped"]


def test_what_fails_or_takes_too_long_is_said_and_the_others_go_on(scripts, tmp_path):
    gpu, _ = scripts
    say = "import json, time; print(json.dumps({'ms': 1}), flush=True); "
    parts = {"tests": say + "raise ValueError('no such thing')", "step": say + "time.sleep(60)"}
    parts["train"] = say + "print('a word'); print('{\"ms\": 2}')"
    commands = {name: [sys.executable, "-c", code] for name, code in parts.items()}
    gpu.measure(commands, tmp_path, seconds=4.0)
    found = json.loads((tmp_path / "gpu.json").read_text())
    failed, ended = found["tests"].pop(), found["step"].pop()
    assert failed == {"failed": "exit status 1: ValueError: no such thing"}
    assert ended["skipped"].startswith("out of time after ")
    assert found == {"tests": [{"ms": 1}], "step": [{"ms": 1}], "train": [{"ms": 1}, {"ms": 2}]}
    assert (tmp_path / "gpu.md").read_text().endswith("## train\n\n| ms |\n|---|\n| 1 |\n| 2 |\n")

"""What a notebook shows of a run."""

import base64
import io
import re
import subprocess
import sys

from PIL import Image

from ctxenc.run_folder.folder import Run
from tests.fake_runs import damage, fake_run, fake_samples

HOSTILE = "<script>alert('x')</script>"


def test_a_run_shows_its_state_settings_figures_and_last_samples(tmp_path):
    run = fake_run(tmp_path / "sweep" / "0", 15.0, seed=7, overrides=["seed=7", "+mask_height=16"])
    fake_samples(run, step=50)
    fake_samples(run, step=100)
    html = run._repr_html_()
    assert "<b>sweep/0</b>: finished at step 100" in html
    for setting in ("mask=center", "dataset=photos", "seed=7", "mask_height=16"):
        assert f"<code>{setting}</code>" in html
    rows = [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>.*?</tr>", html)]
    assert rows[0][:2] == ["validation", "PSNR dB"]
    assert [row[:2] for row in rows[1:3]] == [["last", "15.00"], ["best: step 50", "15.50"]]
    assert ["context mean", "12.00"] in [row[:2] for row in rows]
    assert 'alt="samples of step 100"' in html
    (data,) = re.findall(r'src="data:image/webp;base64,([^"]*)"', html)
    assert Image.open(io.BytesIO(base64.b64decode(data))).width > 300


def test_names_and_texts_are_escaped(tmp_path):
    run = fake_run(
        tmp_path / "<img src=x onerror=alert(1)>",
        state="failed",
        error=f"ValueError: {HOSTILE}",
        overrides=[f"{HOSTILE}=1"],
        **{HOSTILE: HOSTILE},
    )
    damage(
        run, "summary.json", {"last": {HOSTILE: 1.0, "psnr_db": 1.0}, "baselines": {HOSTILE: {}}}
    )
    html = run._repr_html_()
    assert "&lt;img src=x" in html
    assert "&lt;script&gt;" in html
    assert set(re.findall(r"<(\w+)", html)) <= {
        *["div", "p", "b", "code", "table", "tr", "th", "td"]
    }


def test_a_damaged_or_missing_folder_has_one_too(tmp_path):
    run = fake_run(tmp_path / "run")
    fake_samples(run)
    for name in ("status.json", "summary.json", ".hydra/config.yaml", "samples/0000100.png"):
        damage(run, name, b"\x00{")
    assert "damaged" in run._repr_html_()
    assert run.plot() is not None
    for folder in (tmp_path / "nowhere", "\0", "/"):
        assert Run(folder)._repr_html_().startswith("<div>")


def test_its_plot_is_the_picture_of_the_run_and_leaves_pyplot_alone(tmp_path):
    run = fake_run(tmp_path / "run")
    program = f"""
import sys
from ctxenc.run_folder.folder import Run
figure = Run({str(run.path)!r}).plot()
print([axis.get_title(loc='left') for axis in figure.axes])
assert figure._repr_png_().startswith(b"\\x89PNG")
assert "matplotlib.pyplot" not in sys.modules
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "generator loss" in done.stdout
    labels = [line.get_label() for axis in run.plot().axes for line in axis.lines]
    assert "context mean 12.00" in labels

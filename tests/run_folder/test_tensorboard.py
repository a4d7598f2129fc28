"""TensorBoard's files of a whole run, read back."""

import shutil
import struct
import sys

import pytest
import yaml
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from ctxenc import launch
from ctxenc.run_folder.tensorboard import TensorBoard
from tests.tiny import TINY


def events(run):
    """The events of each file, in the order of time."""
    found = []
    for file in sorted(run.tensorboard.iterdir(), key=lambda file: file.stat().st_mtime):
        data, at, inside = file.read_bytes(), 0, []
        while at < len(data):  # length, checksum, event, checksum
            (length,) = struct.unpack_from("<Q", data, at)
            inside.append(Event.FromString(data[at + 12 : at + 12 + length]))
            at += length + 16
        found.append(inside)
    return found


def values(events, tag):
    """(step, value) of a tag."""
    return [(e.step, v) for e in events for v in e.summary.value if v.tag == tag]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Three steps, and two more when it is resumed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("tensorboard"))
        often = ("eval_every=1", "log_every=1", "n_update=2")
        run = launch.run(*TINY, *often, "max_steps=3", "seed=7")
        return launch.run(f"resume={run.path}", "max_steps=5")


def test_it_has_the_lines_of_the_metrics(run):
    first, second = events(run)
    for split, figure in [("train", "generator_loss"), ("validation", "psnr_db")]:
        found = values([*first, *second], f"{split}/{figure}")
        lines = [(line["step"], line[figure]) for line in run.lines(split)]
        assert [at for at, _ in found] == [at for at, _ in lines]
        shown = [value.simple_value for _, value in found]
        assert shown == pytest.approx([value for _, value in lines])
    purge = second[1]
    assert (purge.step, purge.session_log.status) == (4, SessionLog.START)


def test_it_has_the_sample_grids_as_they_are_on_disk(run):
    first, second = events(run)
    found = values([*first, *second], "samples")
    assert [at for at, _ in found] == [2, 3, 4, 5]
    for at, value in found:
        picture = run.sample(at).read_bytes()
        assert value.image.encoded_image_string == picture
        assert (value.image.width, value.image.height) == struct.unpack_from(">II", picture, 16)


def test_it_has_the_configuration_as_yaml(run):
    for part, steps in zip(events(run), (3, 5), strict=True):
        ((_, value),) = values(part, "config/text_summary")
        assert value.metadata.plugin_data.plugin_name == "text"
        (text,) = value.tensor.string_val
        inside = text.decode().removeprefix("```yaml\n").removesuffix("```")
        assert yaml.safe_load(inside)["max_steps"] == steps


def test_it_has_the_hyperparameters_with_the_summary(run):
    _, last = events(run)

    def described(name):
        ((_, value),) = values(last, f"_hparams_/{name}")
        assert value.metadata.plugin_data.plugin_name == "hparams"
        return HParamsPluginData.FromString(value.metadata.plugin_data.content)

    given = described("session_start_info").session_start_info.hparams
    assert given["seed"].number_value == 7
    assert given["loss.adversarial._target_"].string_value.startswith("ctxenc.losses.")
    assert given["model.generator.widths"].string_value == "[4, 8]"
    assert "samples_dir" not in given
    shown = {m.name.tag for m in described("experiment").experiment.metric_infos}
    for when in ("last", "best"):
        for name, value in run.summary[when].items():
            assert f"{when}/{name}" in shown
            ((at, found),) = values(last, f"{when}/{name}")
            assert at == 5
            assert found.simple_value == pytest.approx(value)
    assert described("session_end_info").HasField("session_end_info")


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
def test_a_full_disk_leaves_no_file_that_python_closes_later(run, tmp_path):
    writer = TensorBoard()
    own = launch.Run(shutil.copytree(run.path, tmp_path / "run"))
    writer.begin(own, {"seed": 7}, 5, None)
    writer._file._writer.close()
    writer._file._writer = full = open("/dev/full", "wb")  # noqa: PTH123, SIM115
    for _ in range(2):  # it may have room again, so a later figure is tried
        with pytest.raises(OSError, match="No space left"):
            writer.figures(6, {"psnr_db": 20.0})
    with pytest.raises(OSError, match="No space left"):
        writer.end("finished", {"step": 6})
    assert full.closed

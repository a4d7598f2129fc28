import hashlib
import http.client
import http.server
import io
import json
import os
import shutil
import socketserver
import threading
from pathlib import Path

import numpy as np
import pytest

from ctxenc.data import cifar10 as module
from ctxenc.data.cifar10 import NAMES, cifar10
from ctxenc.data.images import decode
from ctxenc.errors import UserError
from tests.data.cifar_archive import EACH, TEST, TRAIN, archive

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("CTXENC_REAL_DATA", ROOT.parent / "shared" / "data")) / "tfds"


class Server:
    """The archive on a local address."""

    def __init__(self, content):
        self.content, self.asked = content, []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                found = server.content is not None
                self.send_response(200 if found else 404)
                self.send_header("Content-Length", str(len(server.content or b"")))
                self.end_headers()
                self.wfile.write(server.content or b"")

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/{module.ARCHIVE}"


@pytest.fixture
def server(monkeypatch):
    served = Server(archive())
    monkeypatch.setattr(module, "URL", served.url)
    monkeypatch.setattr(module, "SHA256", hashlib.sha256(served.content).hexdigest())
    thread = threading.Thread(target=served.http.serve_forever, args=(0.01,))
    thread.start()
    yield served
    served.http.shutdown()
    served.http.server_close()
    thread.join()


@pytest.fixture
def no_network(monkeypatch):
    def refuse(url, timeout):
        raise OSError("Name or service not known")

    monkeypatch.setattr(module.urllib.request, "urlopen", refuse)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder in which the small archive was put by hand and prepared."""
    folder = tmp_path_factory.mktemp("cifar10")
    (folder / module.ARCHIVE).write_bytes(archive())
    opened(folder)
    return folder


def opened(folder, classes=None, image_size=32):
    return cifar10(
        data_dir=str(folder),
        classes=None if classes is None else tuple(classes),
        image_size=image_size,
    )


def as_set(pixels):
    return {image.tobytes() for image in pixels}


def shown(*splits):
    return as_set(np.concatenate([decode(images, range(len(images))) for images in splits]))


def test_every_image_comes_through_without_loss_in_its_own_split(prepared):
    data = opened(prepared)
    assert data.name == "cifar10"
    assert (len(data.train), len(data.validation), len(data.test)) == (36, 4, EACH)
    assert shown(data.train, data.validation) == as_set(np.concatenate([p for _, p in TRAIN]))
    assert not shown(data.train) & shown(data.validation)
    assert shown(data.test) == as_set(TEST[0][1])


DAMAGE = {
    "no description": lambda folder: (folder / "dataset_info.json").unlink(),
    "an empty description": lambda folder: (folder / "dataset_info.json").write_text(""),
    "no features": lambda folder: (folder / "features.json").unlink(),
    "records cut off": lambda folder: [
        file.write_bytes(file.read_bytes()[:-1]) for file in folder.glob("*train.array_record*")
    ],
    "no records": lambda folder: [file.unlink() for file in folder.glob("*test.array_record*")],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_copy_is_made_anew_with_a_line(prepared, tmp_path, damage, caplog):
    folder = shutil.copytree(prepared, tmp_path / "copy")
    damage(folder / "cifar10" / "3.0.2")
    data = opened(folder)
    assert shown(data.train, data.validation) == as_set(np.concatenate([p for _, p in TRAIN]))
    assert len([r for r in caplog.records if "made anew, as it is damaged" in r.message]) == 1
    caplog.clear()
    opened(folder)
    assert not caplog.records


def test_classes_are_kept_by_name(prepared):
    cats = opened(prepared, ["cat"])
    expected = [pixels[labels == 3] for labels, pixels in TRAIN]
    assert shown(cats.train, cats.validation) == as_set(np.concatenate(expected))
    assert len(cats.train) + len(cats.validation) == 22  # in the fourth file, three of four
    assert shown(cats.test) == as_set(TEST[0][1][::2])
    both = opened(prepared, ["truck", "cat"])
    assert len(both.train) + len(both.validation) == 22 + 10
    assert set(cats.train.pictures.chosen) < set(both.train.pictures.chosen)


def test_the_same_images_are_held_out_whatever_classes_are_chosen(prepared):
    every = opened(prepared)
    for classes in (["cat"], ["cat", "truck"], ["deer", "truck", "cat"]):
        some = opened(prepared, classes)
        assert shown(some.validation) < shown(every.validation)
        assert shown(some.train) < shown(every.train)


def test_it_is_prepared_under_the_name_version_and_layout_of_tfds(prepared):
    folder = prepared / "cifar10" / "3.0.2"
    assert json.loads((folder / "dataset_info.json").read_text())["fileFormat"] == "array_record"
    assert (folder / "label.labels.txt").read_text().split() == list(NAMES)
    assert (folder / "cifar10-test.array_record-00000-of-00001").exists()
    builder = module.tfds.builder_from_directory(folder)
    assert builder.info.full_name == "cifar10/3.0.2"
    by_id = {example["id"].decode(): example for example in builder.as_data_source("train")}
    assert sorted(by_id) == [f"train_{number:05d}" for number in range(5 * EACH)]
    np.testing.assert_array_equal(by_id["train_00010"]["image"], TRAIN[1][1][2])
    assert by_id["train_00009"]["label"] == TRAIN[1][0][1]
    assert {e["id"].decode()[:5] for e in builder.as_data_source("test")} == {"test_"}


def test_images_are_resized(prepared):
    data = opened(prepared, image_size=16)
    assert decode(data.train, [0]).shape == (1, 16, 16, 3)


def test_a_prepared_copy_needs_no_network(prepared, no_network):
    assert len(opened(prepared).train) == 36


def test_it_downloads_and_prepares_itself_once(tmp_path, server):
    folder = tmp_path / "new" / "folder"
    data = opened(folder)
    assert shown(data.test) == as_set(TEST[0][1])
    assert hashlib.sha256((folder / module.ARCHIVE).read_bytes()).hexdigest() == module.SHA256
    asked = len(server.asked)
    assert asked
    assert shown(opened(folder).test) == shown(data.test)
    assert len(server.asked) == asked


def test_another_process_may_prepare_it_meanwhile(tmp_path, prepared, monkeypatch):
    class Waiting:
        """The lock of a folder that another process prepares before it lets go."""

        def __init__(self, file):
            pass

        def __enter__(self):
            shutil.copytree(prepared / "cifar10", tmp_path / "cifar10")

        def __exit__(self, *args):
            pass

    (tmp_path / module.ARCHIVE).write_bytes(archive())
    monkeypatch.setattr(module.filelock, "FileLock", Waiting)
    data = opened(tmp_path, ["cat"])
    assert len(data.train) + len(data.validation) == 22
    assert len(data.test) == 4


def test_without_network_one_line_says_what_to_do_and_nothing_is_written(tmp_path, no_network):
    folder = tmp_path / "nothing"
    with pytest.raises(UserError, match=r"no prepared cifar10/3.0.2 there") as raised:
        opened(folder)
    message = str(raised.value)
    assert f"dataset.data_dir={folder}" in message
    assert module.URL in message
    assert "\n" not in message
    assert not list(tmp_path.iterdir())


def test_an_archive_that_is_not_served_is_no_network_either(tmp_path, server):
    server.content = None
    with pytest.raises(UserError, match="404"):
        opened(tmp_path / "nothing")
    assert not list(tmp_path.iterdir())


def test_a_server_that_does_not_speak_http_is_no_network_either(tmp_path, monkeypatch):
    class Nonsense(socketserver.StreamRequestHandler):
        def handle(self):
            self.rfile.readline()
            self.wfile.write(b"nonsense\r\n\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Nonsense) as served:
        threading.Thread(target=served.handle_request, daemon=True).start()
        monkeypatch.setattr(module, "URL", f"http://127.0.0.1:{served.server_address[1]}/a.tar.gz")
        with pytest.raises(UserError, match=r"making it failed \(nonsense\)") as raised:
            opened(tmp_path / "nothing")
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_download_that_breaks_off_is_one_line_and_leaves_no_archive(tmp_path, monkeypatch):
    class Breaking(io.BytesIO):
        def read(self, size=-1):
            raise http.client.IncompleteRead(b"x" * 10, 100)

    monkeypatch.setattr(module.urllib.request, "urlopen", lambda url, timeout: Breaking())
    with pytest.raises(UserError, match=r"IncompleteRead\(10 bytes read, 100 more expected\)"):
        opened(tmp_path)
    assert not (tmp_path / module.ARCHIVE).exists()
    assert not (tmp_path / "cifar10" / "3.0.2").exists()


def test_another_archive_than_the_known_one_is_refused_and_not_kept(tmp_path, server):
    server.content = server.content[:-1]
    with pytest.raises(UserError, match="not the archive it was"):
        opened(tmp_path)
    assert not list(tmp_path.glob("*.gz")) + list(tmp_path.glob("*.part"))
    assert not (tmp_path / "cifar10" / "3.0.2").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", archive()[:1000], archive(without="data_batch_3.bin")],
    ids=["empty", "text", "truncated", "incomplete"],
)
def test_a_damaged_archive_leaves_nothing_prepared(tmp_path, content, no_network):
    (tmp_path / module.ARCHIVE).write_bytes(content)
    with pytest.raises(UserError, match=r"making it failed") as raised:
        opened(tmp_path)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "cifar10" / "3.0.2").exists()
    (tmp_path / module.ARCHIVE).write_bytes(archive())
    assert len(opened(tmp_path).train) == 36


@pytest.mark.parametrize("classes", [["cats"], ["cat", "kitten"], []])
def test_unknown_classes_are_refused_with_the_ten_names(tmp_path, classes):
    with pytest.raises(UserError, match=r"^dataset.classes=\[.*\]: expected some of") as raised:
        opened(tmp_path, classes)
    assert all(name in str(raised.value) for name in NAMES)
    assert not list(tmp_path.iterdir())


def test_a_copy_prepared_in_another_format_is_refused_with_what_to_do(tmp_path, prepared):
    folder = tmp_path / "cifar10" / "3.0.2"
    shutil.copytree(prepared / "cifar10" / "3.0.2", folder)
    info = json.loads((folder / "dataset_info.json").read_text())
    (folder / "dataset_info.json").write_text(json.dumps({**info, "fileFormat": "tfrecord"}))
    with pytest.raises(UserError, match=r"prepared as tfrecord; expected array_record"):
        opened(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no prepared CIFAR-10 in {REAL}")
def test_the_real_cats():
    data, every = opened(REAL, ["cat"]), opened(REAL)
    assert [len(of) for of in (every.train, every.validation, every.test)] == [45000, 5000, 10000]
    assert (len(data.train) + len(data.validation), len(data.test)) == (5000, 1000)
    assert set(data.validation.pictures.chosen) < set(every.validation.pictures.chosen)
    pixels = decode(data.test, range(100))
    assert pixels.shape == (100, 32, 32, 3)
    assert 20 < pixels.std(axis=(1, 2)).mean() < 100  # photographs: neither flat nor noise
    rows = np.abs(np.diff(pixels.astype(int), axis=1)).mean()
    assert rows < 25
    label = module.tfds.builder_from_directory(REAL / "cifar10" / "3.0.2").as_data_source("test")
    assert {int(label[int(index)]["label"]) for index in data.test.pictures.chosen[:20]} == {3}

import gc
import os
import socket
import subprocess
import sys
import threading
import time
from unittest import mock

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from ctxenc.data import loaders
from ctxenc.data.images import MemoryImages, RandomCrops
from ctxenc.data.loaders import MemoryLoader, Sampler, StreamedLoader, decoded
from ctxenc.data.photos import TRAIN, NewCrops
from ctxenc.errors import UserError
from tests import compiling


def numbered(count, size=2):
    """Images that show their own index."""
    pixels = np.arange(count, dtype=np.uint8)[:, None, None, None]
    return np.ascontiguousarray(np.broadcast_to(pixels, (count, size, size, 3)))


class Vanishing:
    """Pictures of which one cannot be read any more."""

    image_size = 2

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index == 3:
            raise UserError("/photos/gone.jpg: could be read at the start and cannot now")
        return numbered(4)[index]

    def read(self, index, at_least):
        return self[index]

    def name(self, index):
        return bytes([index])


def one_device():
    mesh = jax.make_mesh((1,), ("data",), devices=jax.devices()[:1])
    return NamedSharding(mesh, PartitionSpec("data"))


def memory(count, sampler, start=0, labels=None):
    return MemoryLoader(MemoryImages(numbered(count)), sampler, start, one_device(), labels)


def streamed(count, sampler, start=0, num_workers=2, labels=None):
    images = MemoryImages(numbered(count))
    return StreamedLoader(decoded(images, sampler, start, one_device(), num_workers, labels))


def shown(loader, steps):
    """The indices of the images in the next batches."""
    return [np.asarray(loader.next_batch(None).images)[:, 0, 0, 0].tolist() for _ in range(steps)]


LOADERS = pytest.mark.parametrize("loader", [memory, streamed])


@pytest.mark.parametrize("num_workers", [1, 4])
def test_both_loaders_give_the_same_batches(num_workers):
    sampler = Sampler(size=10, batch_size=3, seed=7)
    assert sampler.steps_per_epoch == 3
    loaders = memory(10, sampler), streamed(10, sampler, num_workers=num_workers)
    for _ in range(7):
        here, there = (loader.next_batch(None).images for loader in loaders)
        assert here.dtype == there.dtype == np.uint8
        np.testing.assert_array_equal(here, there)


@LOADERS
@pytest.mark.parametrize("start", [0, 5])
def test_labels_are_those_of_a_batchs_images_in_any_epoch(loader, start):
    sampler = Sampler(size=10, batch_size=3, seed=7)
    labelled = loader(10, sampler, start, labels=np.arange(10, dtype=np.int32))
    for step in range(start, start + 7):
        images, labels = labelled.next_batch(None)
        assert labels.dtype == np.int32
        assert np.asarray(images)[:, 0, 0, 0].tolist() == np.asarray(labels).tolist()
        assert np.asarray(labels).tolist() == sampler.indices(step).tolist()


@LOADERS
def test_a_batch_is_the_images_that_the_sampler_names(loader):
    sampler = Sampler(size=10, batch_size=3, seed=7)
    assert shown(loader(10, sampler), 7) == [sampler.indices(step).tolist() for step in range(7)]


@LOADERS
@pytest.mark.parametrize("start", [1, 3, 4, 100])  # an epoch has 3 steps
def test_starting_at_a_step_is_skipping_to_it(loader, start):
    sampler = Sampler(size=10, batch_size=3, seed=0)
    assert shown(loader(10, sampler, start), 4) == shown(loader(10, sampler), start + 4)[start:]


@pytest.mark.parametrize(
    ("images", "kind"),
    [
        (MemoryImages(numbered(4)), MemoryLoader),
        (RandomCrops(Vanishing(), 2, 2), StreamedLoader),
        (NewCrops(TRAIN, 16, 1408), StreamedLoader),
    ],
)
def test_images_in_memory_are_gathered_and_others_streamed(images, kind):
    sampler = Sampler(size=4, batch_size=2, seed=0)
    assert type(loaders.training_loader(images, sampler, 0, one_device(), 1)) is kind


@pytest.mark.parametrize("images", [Vanishing(), RandomCrops(Vanishing(), 2, 2)])
def test_an_image_that_cannot_be_read_stops_the_stream_and_is_named(images):
    sampler = Sampler(size=4, batch_size=2, seed=0)
    loader = StreamedLoader(decoded(images, sampler, 0, one_device(), num_workers=2))
    with pytest.raises(UserError, match=r"^/photos/gone.jpg: could be read .* now$"):
        shown(loader, sampler.steps_per_epoch)


class Ramps:
    """Pictures that show their number, and at each pixel its row and column."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def read(self, index, at_least):
        rows, columns = np.indices((200, 200))
        return np.stack([np.full_like(rows, index), rows, columns], -1).astype(np.uint8)

    def name(self, index):
        return bytes([index])


def cut(sampler, start, steps, num_workers=2):
    """(number, top, left) of each image in the next batches."""
    images = RandomCrops(Ramps(sampler.size), 2, 200)
    loader = StreamedLoader(decoded(images, sampler, start, one_device(), num_workers))
    return [np.asarray(loader.next_batch(None).images)[:, 0, 0].tolist() for _ in range(steps)]


def test_random_crops_depend_on_seed_epoch_and_image_alone():
    sampler = Sampler(size=6, batch_size=3, seed=5)
    steps = cut(sampler, 0, 6, num_workers=1)
    assert cut(sampler, 0, 6, num_workers=4) == steps
    assert cut(sampler, 3, 3) == steps[3:]  # resumed in the middle of an epoch
    assert [[n for n, *_ in step] for step in steps] == [
        sampler.indices(s).tolist() for s in range(6)
    ]
    one_by_one = cut(Sampler(size=6, batch_size=1, seed=5), 0, 18)
    assert [image for (image,) in one_by_one] == [image for step in steps for image in step]
    places = {(top, left) for step in steps for _, top, left in step}
    assert len(places) == 18  # six images in three epochs
    assert cut(Sampler(size=6, batch_size=3, seed=6), 0, 6) != steps


@pytest.mark.parametrize(
    ("order", "owners", "expected"),
    [
        ([0, 1, 2, 3], [[0, 1], [2, 3]], [[0, 1, 2, 3], [4, 5, 6, 7]]),
        ([0, 2, 1, 3], [[0, 1], [2, 3]], [[0, 1, 4, 5], [2, 3, 6, 7]]),
        ([3, 2, 1, 0], [[0], [1, 2, 3]], [[6, 7], [0, 1, 2, 3, 4, 5]]),
    ],
)
def test_a_process_has_the_rows_that_its_devices_hold(order, owners, expected):
    slices = {device: (slice(2 * at, 2 * at + 2),) for at, device in enumerate(order)}
    assert [rows_of(devices, slices, 8) for devices in owners] == expected


def test_devices_that_hold_the_whole_batch_give_each_row_once():
    assert rows_of([0, 1], {0: (slice(None),), 1: (slice(None),)}, 3) == [0, 1, 2]


def rows_of(devices, slices, batch_size):
    """The rows of a process with these devices; devices are numbers here."""
    sharding = mock.create_autospec(NamedSharding, instance=True)
    sharding.addressable_devices = devices
    sharding.devices_indices_map.return_value = slices
    return loaders.own_rows(sharding, batch_size).tolist()


class Slow(MemoryImages):
    """Images that take a while to decode."""

    def __getitem__(self, index):
        time.sleep(0.05)
        return super().__getitem__(index)


@pytest.mark.parametrize("most", [1, None])
def test_images_may_say_that_more_threads_gain_nothing(most):
    decoding = set()

    class Watched(Slow):
        def __getitem__(self, index):
            decoding.add(threading.get_ident())
            return super().__getitem__(index)

    images = Watched(numbered(8))
    if most:
        object.__setattr__(images, "most_workers", most)
    batches = decoded(images, Sampler(size=8, batch_size=2, seed=0), 0, one_device(), num_workers=3)
    for _ in range(4):
        next(batches)
    assert len(decoding) == (most or 3)


def test_time_without_a_batch_is_counted_and_time_that_the_devices_work_is_not(monkeypatch):
    sampler = Sampler(size=8, batch_size=4, seed=0)
    slow = StreamedLoader(decoded(Slow(numbered(8)), sampler, 0, one_device(), num_workers=1))
    slow.next_batch(None)
    assert slow.waited > 0.1
    before = slow.waited
    monkeypatch.setattr(jax, "block_until_ready", lambda _: time.sleep(0.5))  # a longer step
    slow.next_batch(None)
    assert slow.waited - before < 0.1
    assert memory(8, sampler).waited == 0


ON_FOUR_DEVICES = """
import jax, numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from ctxenc.data.images import MemoryImages
from ctxenc.data.loaders import MemoryLoader, Sampler, StreamedLoader, decoded

assert len(jax.devices()) == 4
images = np.random.default_rng(0).integers(0, 256, (20, 2, 2, 3), np.uint8)
sharding = NamedSharding(jax.make_mesh((4,), ("data",)), PartitionSpec("data"))
sampler = Sampler(size=20, batch_size=8, seed=0)
classes = np.arange(20, dtype=np.int32)
gathered = MemoryLoader(MemoryImages(images), sampler, 1, sharding, classes)
streamed = StreamedLoader(decoded(MemoryImages(images), sampler, 1, sharding, 2, classes))
for step in (1, 2, 3):
    for batch, labels in (gathered.next_batch(None), streamed.next_batch(None)):
        assert [s.data.shape for s in labels.addressable_shards] == [(2,)] * 4
        np.testing.assert_array_equal(labels, sampler.indices(step))
        assert batch.sharding.is_equivalent_to(sharding, 4), batch.sharding
        assert [s.data.shape[0] for s in batch.addressable_shards] == [2] * 4
        np.testing.assert_array_equal(batch, images[sampler.indices(step)])
print("same on four devices")
"""


def test_each_of_four_devices_gets_its_quarter_of_the_same_batch():
    flags = compiling.with_flags("--xla_force_host_platform_device_count=4")
    done = subprocess.run(
        [sys.executable, "-c", ON_FOUR_DEVICES],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "same on four devices", done.stderr


AS_ONE_OF_TWO = """
import sys
import jax, numpy as np
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
jax.distributed.initialize(sys.argv[2], 2, int(sys.argv[1]))
from jax.sharding import NamedSharding, PartitionSpec
from ctxenc.data import loaders
from ctxenc.data.images import MemoryImages
from ctxenc.data.loaders import Sampler

pixels = np.random.default_rng(0).integers(0, 256, (22, 2, 2, 3), np.uint8)

class Streamed(MemoryImages):
    def __init__(self, array):
        super().__init__(array)
        self.__dict__["asked"] = []

    def __getitem__(self, index):
        self.asked.append(int(index))
        return super().__getitem__(index)

sharding = NamedSharding(jax.make_mesh((4,), ("data",)), PartitionSpec("data"))
own = slice(4 * jax.process_index(), 4 * jax.process_index() + 4)
sampler = Sampler(size=20, batch_size=8, seed=0)

def check(batch, expected):
    assert batch.shape == (8, 2, 2, 3) and batch.sharding.is_equivalent_to(sharding, 4)
    for shard in batch.addressable_shards:
        np.testing.assert_array_equal(shard.data, expected[shard.index])

numbers = np.arange(20, dtype=np.int32)
gathered = loaders.MemoryLoader(MemoryImages(pixels[:20]), sampler, 1, sharding, numbers)
trained = Streamed(pixels[:20])
streamed = loaders.StreamedLoader(loaders.decoded(trained, sampler, 1, sharding, 1, numbers))
for step in (1, 2, 3):
    for loader in (gathered, streamed):
        images, labels = loader.next_batch(None)
        check(images, pixels[sampler.indices(step)])
        for shard in labels.addressable_shards:
            np.testing.assert_array_equal(shard.data, sampler.indices(step)[shard.index])
for step in (1, 2, 3):  # one batch after the other, ahead of need
    asked = trained.asked[4 * step - 4 : 4 * step]
    assert sorted(asked) == sorted(sampler.indices(step)[own].tolist())

rows = loaders.own_rows(sharding, 8)
assert rows.tolist() == list(range(8))[own]
check(loaders.to_devices(pixels[rows], sharding, 8), pixels[:8])
print("same in two processes", flush=True)
"""


def test_each_of_two_processes_decodes_its_half_of_the_same_batch():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", AS_ONE_OF_TWO, str(number), address],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    try:
        ended = [process.communicate(timeout=120) for process in started]
    finally:
        for process in started:
            process.kill()
    assert ["same in two processes" in out for out, _ in ended] == [True, True], ended


def test_what_nobody_will_have_is_not_decoded():
    entered, go = threading.Semaphore(0), threading.Event()
    decoded_so_far = []

    def batches():
        for number in range(10):
            entered.release()
            go.wait()
            decoded_so_far.append(number)
            yield number

    loader = StreamedLoader(batches())
    entered.acquire()  # the first is under way, others wait
    thread = loader._thread
    del loader
    gc.collect()
    go.set()
    thread.shutdown(wait=True)
    assert decoded_so_far == [0]

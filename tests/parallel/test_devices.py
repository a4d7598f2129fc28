import pytest

from ctxenc.errors import UserError
from ctxenc.parallel import devices


@pytest.mark.parametrize(
    ("batch_size", "nearest"), [(30, "28 or 32"), (33, "32 or 36"), (5, "4 or 8"), (3, "4")]
)
def test_a_batch_that_devices_cannot_share_equally_is_refused_with_the_nearest(
    batch_size, nearest, monkeypatch
):
    monkeypatch.setattr(devices.jax, "device_count", lambda: 4)
    with pytest.raises(UserError, match=rf"batch_size={batch_size}: 4 devices .* {nearest}$"):
        devices.check_batch(batch_size)
    devices.check_batch(32)


def test_a_resumed_runs_batch_is_kept_and_the_devices_have_to_fit(monkeypatch):
    monkeypatch.setattr(devices.jax, "device_count", lambda: 3)
    with pytest.raises(UserError, match=r"batch_size=32: 3 devices .* expected 1, 2 of the dev"):
        devices.check_batch(32, resumed=True)
    devices.check_batch(33, resumed=True)

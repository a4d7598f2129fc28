"""Trackers for tests: one that remembers what it was told, and one that fails."""

from ctxenc.tracking import Tracker

told = []  # (method, arguments)


class Recorder(Tracker):
    def __init__(self, known_as: str | None = "id-1"):
        self.known_as = known_as

    def begin(self, run, config, start, known):
        told.append(("begin", (run.path, config, start, known)))
        return self.known_as

    def figures(self, step, values):
        told.append(("figures", (step, dict(values))))

    def grid(self, step, picture):
        told.append(("grid", (step, picture.read_bytes())))

    def end(self, state, summary):
        told.append(("end", (state, dict(summary))))


class Failing(Recorder):
    """Raises in one of the methods, every time."""

    def __init__(self, method: str):
        super().__init__()

        def fail(*_):
            told.append((method, ()))
            raise RuntimeError(f"no tracker today\nafter {len(told)} calls")

        setattr(self, method, fail)


class NoTracker:
    pass

"""What may be said of a key of a run's configuration: `ctxenc.config.schema` says it of each."""

import dataclasses
import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class Role(enum.Enum):
    """What a key does to a run."""

    STATIC = "decides on the compiled step: `ctxenc.config.build.model` is given it"
    TRACED = "a number that the compiled step is given (null as NaN): another recompiles nothing"
    INPUT = "decides on what goes into it: first weights, which images, in which order, how long"
    NO_EFFECT = "changes no result"
    LOCATION = "says where something is; runs that differ in it alone are the same"


UNCHANGED = object()  # of `Key.before`: the default


@dataclass(frozen=True)
class Key:
    """What is known of a key beside its type and default."""

    meaning: str  # in words, for the help
    role: Role  # what it does to a run
    at_least: float | None = None
    at_most: float | None = None
    one_of: tuple[str, ...] = ()  # the texts that it may be
    null: str | None = None  # what null does, where null is allowed
    valid: Callable[[Any], bool] | None = None  # where type, range and `one_of` do not say it
    expected: str | None = None  # what is `valid`, in words
    measured_on: bool = False  # whether it decides on the images or masks that figures are of
    folder: bool = False  # whether it leads to a folder of the user's
    # `resume` may change it: ``extends`` makes a run longer, ``session`` concerns one process only,
    # ``saved`` holds from then on (of a group, with its options).
    on_resume: str = ""
    on_evaluate: bool = False  # whether `ctxenc.evaluate` may change it
    before: Any = UNCHANGED  # its value in folders that lack it; of a group, the choice
    term: str = ""  # of a weight: the term of the loss that it weighs, which must be there
    # Of a group, the rest:
    package: str = ""  # of ctxenc whose targets a saved run may name in it
    # Its options that lead to the user's files, which may have moved: `resume` may change them.
    folders: tuple[str, ...] = ()
    places: tuple[str, ...] = ()  # its options that change no result
    splits: tuple[str, ...] = ()  # its options that say which images are held out


def key(default: Any, role: Role, meaning: str, **known: Any) -> Any:
    """A top-level key with a value."""
    return dataclasses.field(default=default, metadata={"key": Key(meaning, role, **known)})


def group(role: Role, meaning: str, **known: Any) -> Any:
    """A top-level key that a choice of ``conf/<key>/`` fills; ``conf/train.yaml`` has a default."""
    described = Key(meaning, role, **known)
    return dataclasses.field(default=None, metadata={"key": described, "group": True})

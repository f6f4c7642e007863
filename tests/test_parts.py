"""Parts hold what their annotations say, and refuse the rest in one line."""

import dataclasses
import pickle
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import pytest

from afterfit.parts import SpecError, describe, leaf_names, nearest, part, require, static


@runtime_checkable
class Sized(Protocol):
    def size(self) -> int: ...


@part
class Inner:
    rate: float = 0.5
    count: int = 3

    def check(self) -> None:
        require(self.rate >= 0, "rate", self.rate, "must be 0 or more")

    def size(self) -> int:
        return self.count


@part
class Outer:
    inner: Inner = Inner()
    share: float = static(0.4)
    word: Literal["add", "divide"] = "add"
    flag: bool = True
    maybe: int | None = None
    either: Inner | str = "text"
    widths: tuple[int, ...] = (2, 3)
    inners: tuple[Inner, ...] = ()
    shape: Sized = Inner()


@pytest.mark.parametrize(
    ("field", "given", "held"),
    [
        ("share", 1, 1.0),
        ("share", np.float32(0.5), 0.5),
        ("share", np.int64(2), 2.0),
        ("maybe", np.int32(7), 7),
        ("maybe", None, None),
        ("widths", [4, np.int64(5)], (4, 5)),
        ("widths", (), ()),
        ("inners", [Inner(count=1)], (Inner(count=1),)),
        ("either", Inner(), Inner()),
        ("word", "divide", "divide"),
    ],
)
def test_a_value_is_held_as_its_annotation_wants_it(field, given, held):
    value = getattr(Outer(**{field: given}), field)
    assert value == held
    assert type(value) is type(held)


@pytest.mark.parametrize(
    ("field", "given", "right"),
    [
        ("share", "0.5", "must be a number"),
        ("share", True, "must be a number"),
        ("share", None, "must be a number"),
        ("share", 10**400, "must be a number"),
        ("share", np.array([1.0, 2.0]), "must be a number"),
        ("maybe", 1.0, "must be a whole number or none"),
        ("maybe", True, "must be a whole number or none"),
        ("flag", 1, "must be true or false"),
        ("word", "subtract", "must be one of add, divide"),
        ("word", np.array(["add", "add"]), "must be one of add, divide"),
        ("widths", 5, "must be a list, each item a whole number"),
        ("widths", (1, 2.5), "must be a whole number"),
        ("inner", Inner, "must be Inner"),
        ("inner", {"rate": 1.0}, "must be Inner"),
        ("either", 3, "must be Inner or text"),
        ("shape", 3, "must be Sized"),
        ("shape", Inner, "must be Sized"),
    ],
)
def test_another_value_is_refused_in_one_line(field, given, right):
    with pytest.raises(SpecError) as caught:
        Outer(**{field: given})
    text = str(caught.value)
    assert text.startswith(field)
    assert text.endswith(right)
    assert "\n" not in text


def test_something_with_the_right_methods_that_is_no_part_is_told_how_to_become_one():
    class Plain:
        def size(self) -> int:
            return 1

    with pytest.raises(SpecError, match=r"shape = .*: is not a part: decorate its class with afterfit\.parts\.part"):
        Outer(shape=Plain())


def test_a_long_or_many_lined_value_is_shown_in_one_short_line():
    text = str(SpecError("field", np.arange(10_000).reshape(100, 100) + 0.5, "must be small"))
    assert "\n" not in text
    assert len(text) < 300
    assert str(SpecError("field", "x" * 5_000, "must be short")).endswith("…: must be short")


def test_values_that_make_no_sense_are_refused_after_those_of_the_wrong_type():
    with pytest.raises(SpecError, match=r"^rate = -1\.0: must be 0 or more$"):
        Inner(rate=-1)
    with pytest.raises(SpecError, match=r"^rate = nan: must be 0 or more$"):
        Inner(rate=float("nan"))


def test_parts_are_frozen_keyword_only_equal_by_value_and_hashable():
    assert Outer() == Outer(share=0.4)
    assert len({Outer(), Outer(), Outer(flag=False)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        Outer().flag = False
    with pytest.raises(TypeError):
        Inner(0.5)


def test_floats_are_leaves_unless_they_are_declared_static():
    assert leaf_names(Inner) == ("rate",)
    assert leaf_names(Outer) == ("inner", "either", "inners", "shape")


def test_an_error_survives_the_way_to_another_process():
    error = SpecError("p", 96, "must be prime").inside("task")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (again.field, again.value, again.right, str(again)) == ("task.p", 96, "must be prime", str(error))


def test_the_nearest_name_is_offered_and_else_all_of_them():
    assert nearest("modulr-addition", ["digits", "modular-addition"]) == "did you mean 'modular-addition'?"
    assert nearest("xyz", ["digits", "abc"]) == "must be one of abc, digits"


def test_annotations_are_said_in_words():
    assert describe(int | None) == "a whole number or none"
    assert describe(tuple[float, ...]) == "a list, each item a number"
    assert describe(Literal["a", "b"]) == "one of a, b"

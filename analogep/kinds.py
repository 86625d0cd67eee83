"""Kinds of arguments: every public function and class takes what its annotations say, or refuses by name.

:func:`checked` reads the annotations of a function (or of a dataclass's fields) once and from then on compares
every argument with them, so that a wrong kind is one of our errors at the door and never a foreign one from the
depths, or a wrong number. What a value means (a range, a shape, a name that exists) its receiver checks.
"""

from __future__ import annotations

import collections.abc as abc
import dataclasses
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import numpy as np
from numpy.typing import ArrayLike

from analogep.errors import Fault, FaultsError, InputError

Checked = TypeVar("Checked", bound=Callable[..., Any])
Test = Callable[[Any], bool]
Kind = tuple[Test, str]
"""Whether a value is of the kind, and what to give instead if it is not."""

_SHOWN = 60
_ARRAY_LIKE = frozenset(get_args(ArrayLike))
_SCANNED = 10_000
"""Entries of a list that are looked at one by one for a boolean among numbers."""


def checked(
    error: type[FaultsError] | None = None, subject: str = "", but: Sequence[str] = ()
) -> Callable[[Checked], Checked]:
    """Return a decorator that compares the arguments of a function or of a dataclass with their annotations.

    Parameters
    ----------
    error
        What is raised, with a fault for each argument; :class:`InputError` by default.
    subject
        What the arguments make, for the message; the function's name by default.
    but
        Arguments that the function looks at itself, with more to say.
    """

    def decorate(what: Checked) -> Checked:
        if isinstance(what, type):
            init: Any = what.__init__  # type: ignore[misc]
            what.__init__ = _guarded(init, error, subject or what.__name__, what.__module__, but)  # type: ignore[misc]
            return what
        return _guarded(what, error, subject or what.__qualname__, what.__module__, but)  # type: ignore[return-value]

    return decorate


def _guarded(
    function: Callable[..., Any],
    error: type[FaultsError] | None,
    subject: str,
    module: str,
    but: Sequence[str] = (),
) -> Callable[..., Any]:
    parameters = inspect.signature(function).parameters
    names = tuple(name for name, p in parameters.items() if p.kind is not p.VAR_KEYWORD)
    places = {name for name, p in parameters.items() if p.kind is p.POSITIONAL_ONLY}
    others = next((name for name, p in parameters.items() if p.kind is p.VAR_KEYWORD), "")
    kinds: dict[str, Kind] = {}
    tests: list[Test] = []
    rest = _ANYTHING

    def prepare() -> None:
        nonlocal rest
        kinds.update((k, v) for k, v in argument_kinds(function, module).items() if k not in but)
        rest = kinds.pop(others, _ANYTHING)
        tests.extend(kinds.get(name, _ANYTHING)[0] for name in names)

    def named(name: str) -> Kind:
        return rest if name in places else kinds.get(name, rest)

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not tests:
            prepare()
        right = all(map(_call, tests, args))
        if right and kwargs:
            right = all(map(_call, (named(name)[0] for name in kwargs), kwargs.values()))
        if not right:
            found = {name: (kinds.get(name, _ANYTHING), value) for name, value in zip(names, args, strict=False)}
            found |= {name: (named(name), value) for name, value in kwargs.items()}
            refuse(found, error, subject)
        return function(*args, **kwargs)

    return guarded


def _call(test: Test, value: Any) -> bool:
    return test(value)


def refuse(given: Mapping[str, tuple[Kind, Any]], error: type[FaultsError] | None, what: str) -> None:
    """Raise the error that names every argument, by name its kind and value, that is not of its kind."""
    faults = [
        Fault(name, f"{shown(value)} is not {says}; give one")
        for name, ((test, says), value) in given.items()
        if not test(value)
    ]
    if faults and error is not None:
        raise error(what, faults)
    if faults:
        raise InputError(f"{what}: " + ". ".join(f"{f.where} = {f.what}" for f in faults))


def argument_kinds(function: Callable[..., Any], module: str) -> dict[str, Kind]:
    """Return the kind of each annotated argument of a function that the module defines."""
    names = dict(vars(sys.modules[module]))
    hints = {k: v for k, v in function.__annotations__.items() if k != "return"}
    found = {}
    for name, hint in hints.items():
        if isinstance(hint, str):
            hint = eval(hint, names)
        found[name] = kind_of(hint)
    return found


def shown(value: Any) -> str:
    """Return a value as a message shows it."""
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array of shape {value.shape} and type {value.dtype}"
    try:
        text = repr(value)
    except Exception:  # whatever a foreign __repr__ raises
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… (a {type(value).__name__})"


# --- kinds of one annotation ---------------------------------------------------------------------------


def kind_of(hint: Any) -> Kind:
    """Return the kind that an annotation means."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, inner = get_origin(hint), get_args(hint)
    if origin is typing.Annotated:
        return kind_of(inner[0])
    if origin in (Union, types.UnionType):
        return _any_of(inner)
    if origin is Literal:
        return _one_of(inner)
    if origin is np.ndarray:
        return _array(inner)
    if origin is type or origin is abc.Callable:
        return _class_or_callable(origin, inner)
    if origin is tuple:
        return _tuple(inner)
    if origin is not None and isinstance(origin, type) and issubclass(origin, abc.Mapping):
        return _mapping(*map(kind_of, inner))
    if origin is not None and isinstance(origin, type) and issubclass(origin, abc.Iterable):
        return _sequence(origin, kind_of(inner[0]))
    for cls in (hint, origin):
        if isinstance(cls, type):
            return _instance(cls)
    return _ANYTHING


def _anything(value: Any) -> bool:
    return True


_ANYTHING: Kind = (_anything, "anything")


def is_number(value: Any) -> bool:
    """Return whether a value is a real number that a float can hold; a boolean is none."""
    if type(value) is float:
        return True
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number of a type that says so, within 64 bits; a boolean is none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and -(2**63) <= int(value) < 2**63


def is_numbers(value: Any) -> bool:
    """Return whether a value is a number or an array, or nested lists, of real numbers."""
    return _is_array(value, "fiu")


def _is_array(value: Any, letters: str) -> bool:
    if isinstance(value, np.ndarray):
        hidden = isinstance(value, np.ma.MaskedArray) and bool(np.ma.getmaskarray(value).any())
        return not hidden and (value.dtype.kind in letters or (not value.size and value.dtype.kind == "f"))
    if isinstance(value, (str, bytes, bytearray, Mapping, set, frozenset, type(None))) or callable(value):
        return False
    if isinstance(value, (bool, np.bool_)):
        return "b" in letters
    if isinstance(value, (list, tuple)) and not _of_numbers(value, letters, 0, [0]):
        return False
    try:
        array = np.asarray(value)
    except Exception:  # ragged lists, and whatever a foreign object's __array__ raises
        return False
    return array.dtype.kind in letters or not array.size


def _of_numbers(values: Sequence[Any], letters: str, depth: int, seen: list[int]) -> bool:
    """Return whether nested lists hold numbers alone, as far as they are looked at one by one."""
    if depth > 32:  # it holds itself
        return False
    for value in values:
        seen[0] += 1
        if seen[0] > _SCANNED:
            return True
        if isinstance(value, (list, tuple)):
            if not _of_numbers(value, letters, depth + 1, seen):
                return False
        elif isinstance(value, (bool, np.bool_)):
            if "b" not in letters:
                return False
        elif isinstance(value, int):
            try:
                float(value)
            except OverflowError:
                return False
        elif isinstance(value, (str, bytes, type(None))):
            return False
    return True


_ARRAYS: dict[type, tuple[str, str]] = {
    np.floating: ("fiu", "an array of numbers or a number"),
    np.integer: ("iu", "an array of whole numbers"),
    np.bool_: ("b", "an array of booleans"),
    np.complexfloating: ("fiuc", "an array of numbers"),
    np.generic: ("fiub", "an array of numbers"),
}


def _array(inner: tuple[Any, ...]) -> Kind:
    """Return the kind of arrays of one type of numbers."""
    scalar = get_args(inner[1])[0] if len(inner) > 1 and get_args(inner[1]) else np.generic
    for base, (letters, says) in _ARRAYS.items():
        if isinstance(scalar, type) and issubclass(scalar, base):
            return functools.partial(_is_array, letters=letters), says
    return functools.partial(_is_array, letters="fiub"), "an array of numbers"


def _any_of(inner: tuple[Any, ...]) -> Kind:
    rest = list(inner)
    kinds: list[Kind] = []
    if set(inner) >= _ARRAY_LIKE:
        rest = [member for member in inner if member not in _ARRAY_LIKE]
        kinds = [_NUMBERS]
    kinds += [kind_of(member) for member in rest]
    kinds.sort(key=lambda kind: kind[1] == "None")
    tests = tuple(test for test, _ in kinds)
    if any(test is _anything for test in tests):
        return _ANYTHING
    says = list(dict.fromkeys(says for _, says in kinds))
    text = says[0] if len(says) == 1 else f"{', '.join(says[:-1])} or {says[-1]}"
    return lambda value: any(test(value) for test in tests), text


def _one_of(words: tuple[Any, ...]) -> Kind:
    """Return the kind of words; which word is the receiver's to check, with its other faults."""
    kinds = tuple({type(word) for word in words})
    return lambda value: type(value) in kinds, f"one of the words {', '.join(map(str, words))}"


def _class_or_callable(origin: Any, inner: tuple[Any, ...]) -> Kind:
    if origin is type and inner and isinstance(inner[0], type):
        base = inner[0]
        return lambda v: isinstance(v, type) and issubclass(v, base), f"a class derived from {base.__name__}"
    return (callable, "a function") if origin is not type else (lambda v: isinstance(v, type), "a class")


def _tuple(inner: tuple[Any, ...]) -> Kind:
    if len(inner) == 2 and inner[1] is Ellipsis:
        return _sequence(abc.Sequence, kind_of(inner[0]))
    kinds = [kind_of(member) for member in inner]
    tests = [test for test, _ in kinds]

    def test(value: Any) -> bool:
        return isinstance(value, (tuple, list)) and len(value) == len(tests) and all(map(_call, tests, value))

    return test, f"({', '.join(says for _, says in kinds)})"


_MANY = {
    "a number": "numbers",
    "a whole number": "whole numbers",
    "a text": "texts",
    "anything": "values",
    "an array of numbers or a number": "arrays of numbers",
}


def _sequence(origin: type, entry: Kind) -> Kind:
    test, says = entry
    exact = {"a text": str, "a number": float}.get(says)  # long lists of these are looked through in one go
    sets = not issubclass(origin, abc.Sequence)  # a collection in any order

    def right(value: Any) -> bool:
        if isinstance(value, np.ndarray):
            return value.ndim > 0 and exact is not str and all(map(test, value))
        known = isinstance(value, (list, tuple, range)) or (
            sets and isinstance(value, (set, frozenset, abc.KeysView, abc.ValuesView, Mapping))
        )
        known = known or (isinstance(value, abc.Sequence) and not isinstance(value, (str, bytes, bytearray)))
        return known and (set(map(type, value)) == {exact} or all(map(test, value)))

    return right, f"a list of {_MANY.get(says, f'entries, each {says}')}"


def _mapping(key: Kind, entry: Kind) -> Kind:
    def right(value: Any) -> bool:
        return isinstance(value, Mapping) and all(map(key[0], value)) and all(map(entry[0], value.values()))

    return right, f"a mapping from {_MANY.get(key[1], key[1])} to {_MANY.get(entry[1], entry[1])}"


def _instance(cls: type) -> Kind:
    article = "an" if cls.__name__[0] in "AEIOU" else "a"
    if getattr(cls, "_is_protocol", False):
        parts = protocol_parts(cls)
        says = f"{article} {cls.__name__}, an object with {', '.join(parts)}"
        return lambda value: not isinstance(value, type) and all(hasattr(value, part) for part in parts), says
    remedy = f"{article} {cls.__name__}"
    if cls is np.random.Generator:
        remedy = "a numpy.random.Generator, such as numpy.random.default_rng(seed)"
    return lambda value: isinstance(value, cls), remedy


def protocol_parts(cls: type) -> tuple[str, ...]:
    """Return the names of what a protocol demands."""
    parts: dict[str, None] = {}
    for base in cls.__mro__:
        if getattr(base, "_is_protocol", False) and base is not typing.Protocol:
            own = [*vars(base), *vars(base).get("__annotations__", {})]
            parts |= dict.fromkeys(n for n in own if not n.startswith("_") or n == "__call__")
    return tuple(sorted(parts))


_NUMBERS: Kind = (is_numbers, "an array of numbers or a number")
_PLAIN: dict[Any, Kind] = {
    float: (is_number, "a number"),
    int: (is_whole, "a whole number"),
    bool: (lambda value: isinstance(value, (bool, np.bool_)), "True or False"),
    str: (lambda value: isinstance(value, str), "a text"),
    bytes: (lambda value: isinstance(value, bytes), "bytes"),
    None: (lambda value: value is None, "None"),
    type(None): (lambda value: value is None, "None"),
    object: _ANYTHING,
    Any: _ANYTHING,
    ArrayLike: _NUMBERS,
}


# --- parts that a class must have ------------------------------------------------------------------------


def require_parts(cls: type, what: str, more: Iterable[str] = ()) -> None:
    """Raise ``TypeError`` if a class that is defined leaves out what its base demands; a base itself may.

    Parameters
    ----------
    cls
        The class, as ``__init_subclass__`` gets it.
    what
        What the class is to be, for the message.
    more
        Names of further parts that it lacks.
    """
    if is_base(cls):
        return
    missing = [name for name in dir(cls) if _is_abstract(inspect.getattr_static(cls, name, None))]
    missing = sorted({*missing, *more})
    if missing:
        many = "these" if len(missing) > 1 else "it"
        raise TypeError(f"{cls.__name__} is no {what}: it lacks {', '.join(missing)}; define {many} in the class")


def _is_abstract(member: Any) -> bool:
    """Return whether an attribute of a class is a placeholder that a subclass must replace."""
    return bool(getattr(member, "__isabstractmethod__", False))


def is_base(cls: type) -> bool:
    """Return whether a class is itself a base: it lists ABC or Protocol, or has placeholders of its own."""
    direct = any(base.__name__ in ("ABC", "Protocol") for base in cls.__bases__)
    return direct or any(_is_abstract(member) for member in vars(cls).values())


# --- equality --------------------------------------------------------------------------------------------


class ByValue:
    """Base of frozen dataclasses that hold arrays: equal where all fields are, to the bit; not hashable."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names = [f.name for f in dataclasses.fields(self) if f.compare]  # type: ignore[arg-type]
        return all(same(getattr(self, name), getattr(other, name)) for name in names)

    __hash__ = None  # type: ignore[assignment]


def same(a: Any, b: Any) -> bool:
    """Return whether two values are equal, arrays and what holds arrays by their entries (NaN equals NaN)."""
    if a is b:
        return True
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        a, b = np.asarray(a), np.asarray(b)
        if a.shape != b.shape:
            return False
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc" and b.dtype.kind in "fc"))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(value, b[key]) for key, value in a.items())
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


# --- small helpers ---------------------------------------------------------------------------------------


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "did you mean …?" for a word that is close to a known one, else an empty text."""
    import difflib

    found = difflib.get_close_matches(str(word).lower(), list(known), 1, 0.6)
    return f"did you mean {found[0]}?" if found else ""

"""Parameters of a netlist or an instance, each an expression of others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from analogep.spice.text.expressions import Function, evaluate

_DEEPEST = 50


class Parameters(Mapping[str, float]):
    """Netlist parameters, evaluated when first asked for, in whatever order they were written.

    Parameters
    ----------
    definitions
        Expressions by lower-case name.
    outer
        Where a name that is not defined here is looked up: the caller's parameters (ngspice looks along the
        instance path, not at the place of the subcircuit's text).
    functions
        ``.func`` definitions by lower-case name; the outer ones are known too.
    """

    def __init__(
        self,
        definitions: Mapping[str, str],
        outer: Parameters | None = None,
        functions: Mapping[str, Function] | None = None,
    ) -> None:
        self._definitions = dict(definitions)
        self._outer = outer
        self._values: dict[str, float] = {}
        self._open: list[str] = []
        self.functions: dict[str, Function] = {**(outer.functions if outer else {}), **(functions or {})}

    def __getitem__(self, name: str) -> float:
        if name not in self._definitions and self._outer is not None:
            return self._outer[name]
        if name not in self._values:
            if name in self._open:
                raise ValueError(f"parameter {name} is defined by itself")
            if len(self._open) >= _DEEPEST:
                raise ValueError(f"parameter {name} is defined through more than {_DEEPEST} others")
            text = self._definitions[name]
            self._open.append(name)
            try:
                self._values[name] = evaluate(text, self)
            finally:
                self._open.pop()
        return self._values[name]

    def assign(self, name: str, text: str) -> None:
        """Give a parameter the value of an expression, in which its name still means what it meant before.

        Raises
        ------
        ValueError
            If the expression has no value.
        """
        self._values[name] = evaluate(text, self)
        self._definitions[name] = text

    def __contains__(self, name: object) -> bool:
        return name in self._definitions or (self._outer is not None and name in self._outer)

    def __iter__(self) -> Iterator[str]:
        yield from self._definitions
        if self._outer is not None:
            yield from (name for name in self._outer if name not in self._definitions)

    def __len__(self) -> int:
        return sum(1 for _ in self)

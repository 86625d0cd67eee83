"""The sections of a configuration about data: which, how it is split, and how it becomes voltages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, PositiveInt, model_validator

from analogep.training.configuration.section import NonNegative, Positive, Section

# Entry: the data sets that it means something to.
_BELONGS: dict[str, tuple[str, ...]] = {
    "test_fraction": ("digits", "npz", "csv"),
    "inputs": ("table",),
    "targets": ("table",),
    "path": ("npz", "csv"),
    "full_scale": ("npz", "csv"),
    "test_path": ("csv",),
    "label": ("csv",),
    "target_columns": ("csv",),
    "feature_columns": ("csv",),
    "delimiter": ("csv",),
    "train_size": ("digits", "npz", "csv", "mnist", "fashion-mnist", "kmnist", "cifar-10"),
    "test_size": ("digits", "npz", "csv", "mnist", "fashion-mnist", "kmnist", "cifar-10"),
    "reconstruct": ("digits", "npz", "csv", "mnist", "fashion-mnist", "kmnist", "cifar-10"),
    "validation_fraction": ("digits", "npz", "csv", "mnist", "fashion-mnist", "kmnist", "cifar-10"),
}


class DataConfig(Section):
    """Which data, and how it is split."""

    name: Literal["digits", "mnist", "fashion-mnist", "kmnist", "cifar-10", "npz", "csv", "table"]
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the samples that test, where the data come without a test part."""
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the training part held out for validation."""
    train_size: PositiveInt | None = None
    """Train on this many samples of what is left after validation; all if not given."""
    test_size: PositiveInt | None = None
    """Test on this many samples; all if not given."""
    split_seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    path: str = ""
    """npz and csv: the file, seen from the folder in which analogep runs."""
    full_scale: Positive = 1.0
    """npz and csv: the value of a feature that stands for 1, such as 255 for pixels of eight bits."""
    test_path: str = ""
    """csv: a second file that holds the test part."""
    label: str = ""
    """csv: the column of classes."""
    target_columns: tuple[str, ...] = ()
    """csv: the columns of target voltages [V]."""
    feature_columns: tuple[str, ...] = ()
    """csv: the columns of features; all that are left if not given."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """csv: what separates columns."""
    inputs: tuple[tuple[FiniteFloat, ...], ...] = ()
    """Table only: one row of numbers per sample."""
    targets: tuple[tuple[FiniteFloat, ...], ...] = ()
    """Table only: one row of target voltages [V] per sample."""
    reconstruct: bool = False
    """Whether the targets [V] are the features, as numbers, in place of what the data ask for: an autoencoder."""
    tolerance: NonNegative = 0.0
    """Regression: largest |o − y| [V] that does not count as an error."""

    @model_validator(mode="after")
    def _entries_fit_the_name(self) -> DataConfig:
        faults = []
        for key, names in _BELONGS.items():
            if self.name not in names and getattr(self, key) != type(self).model_fields[key].default:
                belongs = " or ".join(f'"{n}"' for n in names)
                verb = "belong" if key in ("inputs", "targets", "target_columns", "feature_columns") else "belongs"
                faults.append(f"{key} {verb} to name = {belongs}")
        if self.tolerance and not self.reconstruct and self.name not in ("table", "npz", "csv"):
            faults.append('tolerance belongs to name = "table" or "npz" or "csv", or to reconstruct = true')
        if self.name in ("npz", "csv") and not self.path:
            faults.append(f'name = "{self.name}" needs a path')
        if self.name == "csv":
            if bool(self.label) == bool(self.target_columns):
                faults.append("a csv needs either label, for classes, or target_columns, for regression")
            twice = {self.label, *self.target_columns} & set(self.feature_columns)
            if twice:
                faults.append(f"{', '.join(sorted(twice))} cannot be a feature and what is to be learned at once")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @model_validator(mode="after")
    def _table_is_rectangular(self) -> DataConfig:
        if self.name == "table":
            widths = ({len(r) for r in self.inputs}, {len(r) for r in self.targets})
            if not self.inputs or len(self.inputs) != len(self.targets):
                raise ValueError("a table needs as many rows of inputs as of targets, at least one")
            if any(len(w) != 1 or 0 in w for w in widths):
                raise ValueError("the rows of a table must have the same length")
        return self


class EncoderConfig(Section):
    """Voltage encoder, v = gain · (x − center), with x standardised first if asked for."""

    gain: Positive = 1.0
    """Volts per unit of the data."""
    center: FiniteFloat = 0.0
    standardise: Literal["none", "feature", "overall"] = "none"
    """Mean 0 and variance 1 over the training part: each feature by itself, or all with one mean and deviation."""
    bias_lines: tuple[FiniteFloat, ...] = ()
    """Voltages of extra lines [V], the same for every sample; doubled like the others."""
    doubled: bool = True

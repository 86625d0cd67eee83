"""A symmetric network as an autoencoder of scikit-learn's digits, against principal components of the same number.

Run: python experiments/autoencoder.py [--hidden 24] [--seeds 3] [--figure docs/autoencoder.png] [--set KEY=VALUE]

64 clamped pixels drive the hidden nodes, which are coupled both ways to 64 outputs; equilibrium propagation lets
these become the pixels (autoencoder.toml). Principal components are fitted to the same training images and are the
best linear autoencoder of those; "clipped" moves what they put outside [0, 1] to the nearest end, as diodes do.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from analogep.cli.settings import configured
from analogep.training import Run, train
from analogep.training.data import load

Array = NDArray[np.float64]


def rms(a: Array, b: Array) -> float:
    """Return the root of the mean square difference of two arrays of the same shape."""
    return float(np.sqrt(np.mean((a - b) ** 2)))


def draw(run: Run, rows: dict[str, Array], components: float, path: Path) -> None:
    """Plot images (10, 64) row by row, and the error per pixel over the epochs."""
    from analogep.report import save
    from analogep.report.style import BLUE, GREY, PAGE, RED, SMALL, letter, new_figure, styled, subfigures

    @styled
    def figure():  # type: ignore[no-untyped-def]
        built = new_figure(PAGE, 1.65)
        left, right = subfigures(built, 1, (1.9, 1.0))
        letter(left, "a")
        letter(right, "b")
        panels = left.subplots(len(rows), 10)
        for line, (name, images) in zip(panels, rows.items(), strict=True):
            for axes, image in zip(line, images, strict=True):
                axes.imshow(image.reshape(8, 8), cmap="Greys", vmin=0.0, vmax=1.0, interpolation="nearest")
                axes.set_xticks([])
                axes.set_yticks([])
                for spine in axes.spines.values():
                    spine.set_visible(True)
                    spine.set_color(GREY)
                    spine.set_linewidth(0.3)
            line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=SMALL)
        axes = right.subplots()
        epochs = [m.epoch for m in run.metrics]
        for label, colour, dash in (("train", RED, "--"), ("test", BLUE, "-")):
            loss = np.array([getattr(m, f"{label}_loss") for m in run.metrics])
            axes.plot(epochs, np.sqrt(2.0 * loss / 64), dash, color=colour, label=f"network, {label}")
        axes.axhline(components, color=GREY, linestyle=":", label="PCA, clipped, test")
        axes.set_xlabel("Epoch")
        axes.set_ylabel("RMS error per pixel (V)")
        axes.set_ylim(bottom=0.0)
        axes.grid(axis="y")
        axes.legend()
        return built

    save(figure(), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=24, help="hidden nodes, and principal components")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--figure", type=Path, help="draw images and the learning curve of seed 0")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the configuration")
    options = parser.parse_args()
    config = configured(str(Path(__file__).with_suffix(".toml")), options.set)
    config = config.changed(network={"hidden_layers": [options.hidden]})
    data = load(config.data)
    x_train, x_test = data.train.numbers(), data.test.numbers()
    pca = PCA(options.hidden).fit(x_train)

    def components(x: Array) -> Array:
        return np.asarray(pca.inverse_transform(pca.transform(x)))

    found, runs = [], []
    for seed in range(options.seeds):
        run = train(config.changed(seed=seed))
        runs.append(run)
        last = run.metrics[-1]
        found.append(np.sqrt(2.0 * last.test_loss / x_test.shape[1]))
        print(
            f"seed {seed}: error {found[-1]:.4f} V per pixel in test, {np.sqrt(last.train_loss / 32):.4f} V in "
            f"training, after {last.epoch} epochs in {last.wall_time:.1f} s of training ({run.engine})",
            flush=True,
        )
    print(f"64-{options.hidden}-64, test: {np.mean(found):.4f} V ({min(found):.4f} to {max(found):.4f} V)")
    for name, part in (("train", x_train), ("test", x_test)):
        made = components(part)
        clipped = rms(np.clip(made, 0, 1), part)
        print(f"{options.hidden} principal components, {name}: {rms(made, part):.4f}, clipped {clipped:.4f}")
    print(f"the mean image, test: {rms(np.broadcast_to(x_train.mean(0), x_test.shape), x_test):.4f}")
    if options.figure is not None:
        labels = load(config.changed(data={"reconstruct": False, "tolerance": 0.0}).data).test.labels
        assert labels is not None
        some = np.array([np.flatnonzero(labels == k)[0] for k in range(10)])
        run = runs[0]
        outputs = run.problem.solver(run.circuit, run.problem.test.inputs(some)).outputs
        rows = {"original": x_test[some], "network": outputs, "PCA": np.clip(components(x_test[some]), 0, 1)}
        draw(run, rows, rms(np.clip(components(x_test), 0, 1), x_test), options.figure)


if __name__ == "__main__":
    main()

"""All figures of a training run."""

from __future__ import annotations

from pathlib import Path

from analogep.kinds import checked
from analogep.report.composite import overview
from analogep.report.confusion import confusion_matrix
from analogep.report.curves import learning_curve
from analogep.report.maps import conductance_maps
from analogep.report.output import save
from analogep.report.phases import phase_voltages
from analogep.report.units import MINUS
from analogep.training import Run, predictions
from analogep.training.phases import sample_phases


@checked()
def run_figures(run: Run, folder: Path) -> list[Path]:
    """Draw the figures of ``run`` as PNG into ``folder``, which is made if it does not exist.

    Returns
    -------
    list of Path
        The files written: learning curve, conductance maps, phase voltages of one test sample, for classes
        the confusion matrix, and for networks of crossbars the overview.
    """
    test, labels = run.problem.test, run.problem.test.labels
    names = run.problem.data.class_names or None
    guessed = None
    if labels is not None:
        guessed = predictions(run.cost.scores(run.problem.solver(run.circuit, test.inputs()).outputs))
    free, phases = sample_phases(run.problem, run.circuit, run.cost, run.beta, slice(1))
    nudged = {name.replace("-", MINUS): phase for name, phase in phases.items()}
    initial, table = run.problem.circuit.parameters, run.table()
    figures = {
        "learning_curve": learning_curve(table),
        "conductances": conductance_maps(run.circuit, initial),
        "phases": phase_voltages(run.circuit, free, nudged),
    }
    if labels is not None and guessed is not None:
        figures["confusion"] = confusion_matrix(labels, guessed, names)
    if run.circuit.crossbars:
        image = _image(run)
        figures["overview"] = overview(
            run.circuit, table, free, nudged, labels, guessed, initial, image, class_names=names
        )
    folder.mkdir(parents=True, exist_ok=True)
    return [save(figure, folder / f"{name}.png") for name, figure in figures.items()]


def _image(run: Run) -> tuple[int, int] | None:
    """Return the shape of the pictures that the input lines are, if they are any."""
    image = run.problem.data.image
    if image is None or len(image) != 2:  # colours have no place in a map of conductances
        return None
    if len(run.circuit.input_nodes) not in (image[0] * image[1], 2 * image[0] * image[1]):
        return None
    return image[0], image[1]

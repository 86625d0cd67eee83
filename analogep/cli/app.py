"""Commands: thin wrappers that parse, call the library, and show what came back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="analogep",
    help="Analog circuits that learn by equilibrium propagation: train, export to SPICE, verify in ngspice.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Out = Annotated[Path, typer.Option("--out", help="Folder in which the run folder is made.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one entry, e.g. --set training.epochs=5."),
]


def _version(value: bool) -> None:
    if value:
        from analogep.version import __version__

        typer.echo(f"analogep {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Analog circuits that learn by equilibrium propagation.

    Exit status: 0 done; 1 a verification or gradient check disagrees; 2 an error; 130 Ctrl-C.
    """


@app.command()
def demo(
    out: Out = Path("runs"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random draws.")] = 0,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs to train.")] = None,
) -> None:
    """Train a nonlinear resistive network on handwritten digits and verify its netlist in ngspice."""
    from analogep.cli.runs import train_and_report

    changes = [f"seed={seed}"] + ([f"training.epochs={epochs}"] if epochs is not None else [])
    train_and_report("digits", changes, out)


@app.command()
def train(
    config: Annotated[str, typer.Argument(help="TOML file, or the name of a shipped configuration.")],
    out: Out = Path("runs"),
    set_: Settings = None,
    resume: Annotated[
        Path | None, typer.Option(help="Run folder of an unfinished run of this CONFIG to go on with.")
    ] = None,
) -> None:
    """Train the network that CONFIG describes; write a run folder and verify the netlist.

    Ctrl-C writes a checkpoint, says how to go on, and ends with exit code 130.
    """
    from analogep.cli.runs import train_and_report

    train_and_report(config, set_ or [], out, resume)


@app.command()
def solve(
    netlist: Annotated[Path, typer.Argument(help="ngspice netlist.")],
    input_: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="NODE=VOLT", help="Voltage of an input node [V]; repeat for more."),
    ] = None,
    method: Annotated[
        str, typer.Option(help="Of operating points: auto, newton, layered or transient; ngspice does all.")
    ] = "auto",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            help="Also save all analyses [V, A, s], as .csv (of several, one file each: NAME-1-op.csv, "
            "NAME-2-dc.csv, ...) or together as .npz.",
        ),
    ] = None,
) -> None:
    """Do the analyses that NETLIST asks for (.op, .dc, .tran) and print every node voltage [V].

    A nudge in the netlist acts. Tables have times in s, swept sources in V or A.
    """
    from analogep.cli.netlists import solve_netlist

    solve_netlist(netlist, input_ or [], method, output)


@app.command()
def export(
    subject: Annotated[Path, typer.Argument(metavar="RUN_OR_NETLIST", help="Run folder or netlist.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File; standard output if not given.")
    ] = None,
    wrapper: Annotated[
        Path | None,
        typer.Option(help="Folder for core.cir (the elements) and wrapper.cir, which ngspice -b runs, instead."),
    ] = None,
    dialect: Annotated[str, typer.Option(help="SPICE dialect: ngspice, xyce, ltspice or hspice.")] = "ngspice",
    hierarchy: Annotated[str, typer.Option(help="flat, or layers: a subcircuit per layer.")] = "flat",
    sample: Annotated[
        int | None,
        typer.Option(min=0, help="Test sample whose inputs [V] are written, the first by default."),
    ] = None,
) -> None:
    """Write the trained circuit of a run, or another netlist with its analyses, as a SPICE netlist.

    Plain ngspice -b does the analyses of what is written and prints the outputs' voltages with 16 digits.
    """
    from analogep.cli.netlists import export_subject

    export_subject(subject, output, wrapper, dialect, hierarchy, sample)  # type: ignore[arg-type]


@app.command()
def verify(
    subject: Annotated[Path, typer.Argument(metavar="RUN_OR_NETLIST", help="Run folder or netlist.")],
    samples: Annotated[int | None, typer.Option(min=1, help="Test samples of a run.")] = None,
    tolerance: Annotated[float | None, typer.Option(help="Largest |ΔV| that passes [V].")] = None,
) -> None:
    """Compare ngspice with the native solver at every node [V]; exit code 1 if they differ.

    From 20,000 elements on, ngspice gets the resistors at the inputs as their Norton equivalents (exact, and
    minutes sooner); the report says so.
    """
    from analogep.cli.netlists import verify_subject

    if not verify_subject(subject, samples, tolerance):
        raise typer.Exit(1)


@app.command()
def gradcheck(
    config: Annotated[str, typer.Argument(help="TOML file, or the name of a shipped configuration.")],
    samples: Annotated[int, typer.Option(min=1, help="Training samples in the batch.")] = 8,
    beta: Annotated[float | None, typer.Option(help="Nudging strength [S]; suggested if not given.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Also draw the audit to this file.")] = None,
    noise: Annotated[float, typer.Option(help="Noise of one read of an output, root mean square [V].")] = 0.0,
    averages: Annotated[int, typer.Option(min=1, help="Reads of each phase that are averaged.")] = 1,
    rule: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help='Only this rule, e.g. "EP centered"; repeat for more.')
    ] = None,
    set_: Settings = None,
) -> None:
    """Compare every rule's gradient with the adjoint, per parameter block; exit code 1 if an exact rule fails."""
    from analogep.cli.gradients import check_gradients

    if not check_gradients(config, set_ or [], samples, beta, figure, noise, averages, rule or ()):
        raise typer.Exit(1)


@app.command()
def data(
    name: Annotated[
        str | None,
        typer.Argument(help="Data set (digits, mnist, fashion-mnist, kmnist, cifar-10), or an .npz or .csv file."),
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="Take data and encoder from this configuration instead.")
    ] = None,
    limit: Annotated[float | None, typer.Option(help="Warn of lines beyond so many volts, either sign.")] = None,
    set_: Settings = None,
) -> None:
    """Download a data set if need be, check it, and show its parts and the voltages on the input lines.

    Files come from $ANALOGEP_DATA_DIR/NAME if they are there, else from the cache, else from their publisher.
    """
    from analogep.cli.data import show_data

    show_data(name, config, set_ or [], limit)


@app.command()
def devices() -> None:
    """List all devices with their parameters, units and defaults."""
    from analogep.cli.netlists import list_devices

    list_devices()

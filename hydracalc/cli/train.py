"""`hydracalc pretrain` and `hydracalc weight`."""

import json
import logging
from pathlib import Path

import click


@click.command()
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--resume", type=click.Path(path_type=Path), help="Go on with the run of a folder.")
@click.option("--continue", "goes_on", is_flag=True, help="Resume if there is a state; else begin.")
@click.option("--dry-run", is_flag=True, help="Open the data, show the plan, train nothing.")
def pretrain(
    recipe: str,
    overrides: tuple[str, ...],
    *,
    output: Path | None,
    resume: Path | None,
    goes_on: bool,
    dry_run: bool,
) -> None:
    """Train all branches of RECIPE, a TOML file or the name of one that comes with hydracalc.

    Any key may be set on the command line: trainer.training.epochs=2. Started by torchrun, mpiexec,
    srun or PALS, all ranks train together. SIGTERM and the warning signals of schedulers let the
    run save its state and end with exit code 0.
    """
    from hydracalc.cli.messages import describe_error
    from hydracalc.parallel.ending import Ending, joined
    from hydracalc.recipe import load_recipe
    from hydracalc.run.pretrain import plan
    from hydracalc.run.pretrain import pretrain as run

    with joined(describe=describe_error) as launch, Ending(launch) as ending:
        loaded = load_recipe(recipe, overrides)
        folder = resume or output or Path("runs") / loaded.name
        if goes_on:
            resume = folder if (folder / "state.safetensors").is_file() else None
        level = logging.INFO if launch.is_root else logging.ERROR
        logging.basicConfig(level=level, format="%(message)s")
        if dry_run:
            planned = plan(loaded)
            if launch.is_root:
                _show(planned)
            return
        path = run(
            loaded,
            folder,
            resume=resume is not None,
            is_ending=lambda: ending.heard is not None,
            device=launch.device,
        )
        if launch.is_root and path is not None:
            click.echo(f"model: {path}")


def _show(planned) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Table of the branches and the size of the model."""
    from rich.console import Console
    from rich.table import Table

    table = Table("branch", "train", "val", "test", "elements", "level of theory")
    for row in planned.summary():
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)
    click.echo(f"{planned.num_parameters} parameters, encoder {planned.recipe.model.encoder}")


@click.command()
@click.argument("model")
@click.argument("shards", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="Model file.")
@click.option("--split", default="val", show_default=True, help="Split whose labels are used.")
@click.option("--seed", default=0, show_default=True, help="Chooses the compositions held out.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def weight(
    model: str, shards: tuple[Path, ...], output: Path, split: str, seed: int, as_json: bool
) -> None:
    """Train the weights that composition gives the branches of MODEL, on labels of SHARDS.

    The labels should be ones that the branches were not trained on.
    """
    from dataclasses import asdict

    from hydracalc.run.weight import fit

    report = fit(model, shards, output, split=split, seed=seed)
    if as_json:
        click.echo(json.dumps(asdict(report)))
        return
    _show_weighting(report)
    click.echo(f"model: {output}")


def _show_weighting(report) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Errors on compositions that were held out, by choice of branches."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "choice", "structures", "force MAE, meV/A", "auto", "energy MAE, meV/atom", "auto"
    )
    columns = (
        report.force_mae_eV_per_A,
        report.auto_force_mae_eV_per_A,
        report.energy_mae_eV_per_atom,
        report.auto_energy_mae_eV_per_atom,
    )
    for name in report.force_mae_eV_per_A:
        errors = (f"{1e3 * column[name]:.1f}" for column in columns)
        table.add_row(name, str(report.described[name]), *errors)
    click.echo(
        f"fitted on {report.num_fitted} structures; errors on {report.num_held_out} of "
        f"{report.compositions_held_out} compositions that were held out:"
    )
    Console().print(table)

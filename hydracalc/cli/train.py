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
@click.option("--seed", default=0, show_default=True, help="Divides the compositions held out.")
@click.option(
    "--trust",
    multiple=True,
    metavar="BRANCH=SHARE",
    help="How much a branch's labels count, up to 1; little for cheap levels of theory.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def weight(  # noqa: PLR0913  # one argument for each option
    model: str,
    shards: tuple[Path, ...],
    *,
    output: Path,
    split: str,
    seed: int,
    trust: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train the weights that composition gives the branches of MODEL, on labels of SHARDS.

    What the branches were trained on counts most: a composition is answered by the branches that
    saw its likes, away from rest. Labels that the branches were not trained on correct that.
    """
    from dataclasses import asdict

    from hydracalc.run.weight import fit
    from hydracalc.weighting.fit import WeightingFitConfig

    config = WeightingFitConfig(seed=seed, trust=_shares(trust))
    report = fit(model, shards, output, split=split, config=config)
    if as_json:
        click.echo(json.dumps(asdict(report)))
        return
    _show_weighting(report)
    click.echo(f"model: {output}")


def _shares(words: tuple[str, ...]) -> dict[str, float]:
    """Shares by branch of "branch=share".

    Raises:
        ValueError: one has no equals sign, or its share is no number.
    """
    shares = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            shares[name] = float(value)
        except ValueError:
            raise ValueError(
                f"trust {word!r}, expected BRANCH=SHARE such as gfn2xtb=0.01"
            ) from None
    return shares


def _show_weighting(report) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Errors on compositions that were held out, by choice of branches and by dataset."""
    from hydracalc.cli.tables import print_table

    columns = (
        report.force_mae_eV_per_A,
        report.auto_force_mae_eV_per_A,
        report.energy_mae_eV_per_atom,
        report.auto_energy_mae_eV_per_atom,
    )
    click.echo(
        f"fitted to {report.num_structures} structures of {report.num_compositions} compositions; "
        f"errors are of weights fitted without the composition ({report.num_folds} folds), means "
        "over compositions:"
    )
    heads = ("choice", "structures", "force MAE, meV/A", "auto", "energy MAE, meV/atom", "auto")
    print_table(
        heads,
        [
            (name, report.described[name], *(f"{1e3 * column[name]:.1f}" for column in columns))
            for name in report.force_mae_eV_per_A
        ],
    )
    found = dict(report.by_dataset_force_mae_eV_per_A)
    found[f"{report.num_new_compositions} new to all branches"] = report.new_force_mae_eV_per_A
    names = list(report.force_mae_eV_per_A)
    print_table(
        ("force MAE, meV/A, labels of", *names),
        [
            (dataset, *(f"{1e3 * row[name]:.1f}" if name in row else "-" for name in names))
            for dataset, row in found.items()
        ],
    )

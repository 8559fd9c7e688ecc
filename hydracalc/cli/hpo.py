"""`hydracalc hpo`: search over the keys of a recipe, what it came to, and what it rests on."""

import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hydracalc.cli.options import json_option
from hydracalc.cli.tables import print_pairs, print_table

if TYPE_CHECKING:
    from rich.table import Table

    from hydracalc.hpo.attempt import Attempt
    from hydracalc.hpo.config import SearchConfig
    from hydracalc.hpo.journal import Trial
    from hydracalc.hpo.proxy import ProxyReport
    from hydracalc.hpo.search import Watcher

_FOLDER = click.Path(path_type=Path)
_RUN = "run"
_LAST = 8  # trials that the live table shows


class SearchGroup(click.Group):
    """A first word that is no command of this group is the search file of `run`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command, and the arguments that are left for it."""
        if args and args[0] not in self.commands:
            args = [_RUN, *args]
        return super().resolve_command(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Both ways to call it."""
        formatter.write_usage(ctx.command_path, "SEARCH [KEY=VALUE]... | COMMAND [ARGS]...")


@click.group("hpo", cls=SearchGroup)
def hpo() -> None:
    """Search over the keys of a recipe: SEARCH is a TOML file, or a name of `hydracalc hpo list`.

    hydracalc hpo SEARCH is short for hydracalc hpo run SEARCH, and has its options.
    """


@hpo.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """Searches that come with hydracalc."""
    from hydracalc.hpo.config import load_search, shipped_searches

    found = [load_search(path) for path in shipped_searches().values()]
    if as_json:
        click.echo(json.dumps([config.to_json() for config in found]))
        return
    rows = [(c.name, c.trials, c.fidelity.epochs, c.discarding.rule, len(c.space)) for c in found]
    print_table(("search", "trials", "epochs", "discarding", "keys"), rows)


@hpo.command(_RUN)
@click.argument("search")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--output", "-o", type=_FOLDER, help="Folder of the search.")
@click.option("--resume", type=_FOLDER, help="Go on with the search of a folder.")
@click.option("--continue", "goes_on", is_flag=True, help="Resume if there is one; else begin.")
@click.option("--trials", type=int, help="How many there are to be.")
@click.option("--workers", type=int, help="Trials at the same time.")
@click.option("--seed", type=int, help="Of the points that are drawn.")
@click.option("--sampler", help="cbo or random.")
@click.option("--warm-start", multiple=True, type=_FOLDER, help="Folder of an earlier search.")
@json_option
def run_command(
    search: str,
    overrides: tuple[str, ...],
    *,
    output: Path | None,
    resume: Path | None,
    goes_on: bool,
    as_json: bool,
    **settings: Any,  # noqa: ANN401  # the options of the search file's own names
) -> None:
    """Run trials of SEARCH; KEY=VALUE sets keys of its recipe in all of them.

    Killed or asked to end, the same command with --resume FOLDER goes on and loses nothing.
    """
    from hydracalc.hpo.config import load_search
    from hydracalc.hpo.journal import SETTINGS
    from hydracalc.hpo.search import search as run

    warm = [str(path) for path in settings.pop("warm_start")]
    given = {key: value for key, value in settings.items() if value is not None}
    given |= {"warm_start": warm} if warm else {}
    words = [f"{key}={json.dumps(value)}" for key, value in given.items()]
    if overrides:
        words.append(f"overrides={json.dumps([*load_search(search).overrides, *overrides])}")
    config = load_search(search, words)
    folder = resume or output or Path("runs") / "hpo" / config.name
    is_there = (folder / SETTINGS).is_file()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    with _watching(config) as watcher:
        trials = run(
            config,
            folder,
            goes_on=resume is not None or (goes_on and is_there),
            watcher=watcher,
        )
    if len(trials) >= config.trials:
        _finish(folder, trials)
    else:
        click.echo(f"asked to end; --resume {folder} goes on", err=True)
    _show(folder, as_json=as_json, keys=())


def _finish(folder: Path, trials: "Sequence[Trial]") -> None:
    """What a search does once all trials are there: times of their models, side by side."""
    from hydracalc.hpo import latency

    latency.measure(folder, [trial for trial in trials if trial.status == "done"])


@hpo.command("show")
@click.argument("folder", type=_FOLDER)
@click.option("--by", help="Keys of the front, as in val_force_mae,energy_joule.")
@click.option("--plots", type=_FOLDER, help="Write pictures of the search into this folder.")
@json_option
def show_command(folder: Path, *, by: str | None, plots: Path | None, as_json: bool) -> None:
    """Trials of the search in FOLDER, the front of the best, epochs saved, energy spent."""
    keys = tuple(by.split(",")) if by else ()
    _show(folder, as_json=as_json, keys=keys)
    if plots is not None:
        _draw(folder, plots, keys)


@hpo.command("proxy")
@click.argument("searches", nargs=-1, required=True, type=_FOLDER)
@click.option("--plot", type=_FOLDER, help="Write the picture, PNG, here.")
@json_option
def proxy_command(searches: tuple[Path, ...], *, plot: Path | None, as_json: bool) -> None:
    """Is the early error a proxy of the final one? Rank correlation over the trials of SEARCHES."""
    from hydracalc.hpo import proxy

    reports = proxy.report(searches)
    if all(report.refused for report in reports):
        told = "; ".join(f"{report.title}: {report.refused}" for report in reports)
        raise ValueError(f"too few trials to say anything: {told or 'none has ended'}")
    if as_json:
        click.echo(json.dumps([asdict(report) for report in reports]))
    else:
        for report in reports:
            _show_proxy(report)
    if plot is not None:
        from hydracalc.hpo.plots import proxies

        plot.write_bytes(proxies([report for report in reports if not report.refused]))


def _show_proxy(report: "ProxyReport") -> None:
    click.echo(f"{report.title}: {report.num_trials} trials that went to their end")
    if report.refused:
        click.echo(f"  refused: {report.refused}\n")
        return
    if report.num_discarded:
        click.echo(
            f"  {report.num_discarded} more were discarded early and are not among them: those "
            "left are alike, which lowers the correlation"
        )
    print_table(
        ("part", "epoch", "trials", "Spearman", "95 % interval", "place of the best"),
        [
            (
                f"{each.progress:.2f}",
                f"{each.epoch:g}",
                each.num_trials,
                f"{each.spearman:.2f}",
                f"{each.low:.2f} to {each.high:.2f}",
                f"{each.place_of_best} of {each.num_trials}",
            )
            for each in report.agreements
        ],
    )
    click.echo()


def _show(folder: Path, *, as_json: bool, keys: tuple[str, ...]) -> None:
    from hydracalc.hpo import summary
    from hydracalc.hpo.journal import read_journal

    trials = read_journal(folder)
    found = summary.summarize(trials)
    front = summary.front_of(summary.rows_of(folder, trials), keys)
    if as_json:
        table = {"summary": asdict(found), "front": front, "trials": [asdict(t) for t in trials]}
        click.echo(json.dumps(table))
        return
    energy = _energy_label(found.energy_is_estimate)
    print_table(
        ("trial", "status", "objective", "epochs", "minutes", energy, "values or reason"),
        [_row(trial) for trial in sorted(trials, key=lambda trial: trial.number)],
    )
    click.echo()
    if front:
        print_table(
            ("not dominated", *[key for key in front[0] if key != "name"]),
            [(row["name"], *(f"{v:.4g}" for k, v in row.items() if k != "name")) for row in front],
        )
        click.echo()
    kilojoule = f"{found.energy_joule / 1e3:.3g}"
    print_pairs(
        {
            "trials": ", ".join(f"{count} {name}" for name, count in found.counts.items()),
            "best": f"{found.best} {found.objective:.4g}" if found.objective else "none",
            "epochs": f"{found.epochs} made, {found.epochs_saved:.0f} saved by discarding "
            f"({100 * found.saved:.0f} %)",
            energy: f"{kilojoule}, of it {found.energy_discarded_joule / 1e3:.3g} in discarded "
            f"and {found.energy_failed_joule / 1e3:.3g} in failed trials",
            "by": found.energy_source or "nothing counted",
            "workers busy": f"{100 * found.busy:.0f} %",
        }
    )


def _energy_label(is_estimate: bool) -> str:
    return "energy, kJ (estimate)" if is_estimate else "energy, kJ"


def _row(trial: "Trial") -> tuple[object, ...]:
    told = ", ".join(f"{k.split('.')[-1]} {_short(v)}" for k, v in trial.values.items())
    return (
        f"{trial.number:04d}",
        trial.status,
        "" if trial.objective is None else f"{trial.objective:.4g}",
        trial.epochs,
        f"{trial.seconds / 60:.2f}",
        f"{trial.energy_joule / 1e3:.3g}",
        trial.reason if trial.status == "failed" else told,
    )


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _draw(folder: Path, plots: Path, keys: tuple[str, ...]) -> None:
    from hydracalc.hpo import plots as pictures
    from hydracalc.hpo import summary
    from hydracalc.hpo.journal import read_journal, read_settings

    trials = read_journal(folder)
    rows = summary.rows_of(folder, trials)
    wanted = read_settings(folder).objective.metrics
    objective = " + ".join(f"{w:g} {name}" if w != 1 else name for name, w in wanted.items())
    is_estimate = summary.summarize(trials).energy_is_estimate
    plots.mkdir(parents=True, exist_ok=True)
    (plots / "progress.png").write_bytes(pictures.progress(trials, objective))
    (plots / "workers.png").write_bytes(pictures.workers(trials))
    if rows:
        label = "energy, J (estimate)" if is_estimate else "energy, J"
        best = summary.front_of(rows, keys)
        (plots / "front.png").write_bytes(pictures.front(rows, best, label))


@contextmanager
def _watching(config: "SearchConfig") -> "Iterator[Watcher]":
    """Who shows how it goes: a live table on a terminal, a line for each trial in a log."""
    from rich.console import Console
    from rich.live import Live

    from hydracalc.hpo.search import Watcher

    if not sys.stderr.isatty():
        yield Watcher(on_trial=_say)
        return
    with Live(console=Console(stderr=True), refresh_per_second=4, transient=True) as live:

        def on_look(running: "Sequence[Attempt]", trials: "Sequence[Trial]") -> None:
            live.update(live_table(config, running, trials))

        yield Watcher(on_look=on_look)


def _say(trial: "Trial") -> None:
    number, status, objective, epochs, minutes, kilojoule, told = _row(trial)
    energy = _energy_label(trial.energy_is_estimate)
    words = f"{status} {objective}".strip()
    click.echo(
        f"trial {number}: {words}, {epochs} epochs, {minutes} min, {energy} {kilojoule}; {told}",
        err=True,
    )


def live_table(
    config: "SearchConfig", running: "Sequence[Attempt]", trials: "Sequence[Trial]"
) -> "Table":
    """Trials under way, those that ended last, and what came of all."""
    from rich.table import Table

    from hydracalc.hpo.summary import summarize

    found = summarize(trials)
    best = f"best {found.best} {found.objective:.4g}" if found.objective else "no trial done yet"
    energy = _energy_label(found.energy_is_estimate)
    title = (
        f"{config.name}: {len(trials)} of {config.trials} trials, {best}, "
        f"{found.epochs_saved:.0f} epochs saved, {energy} {found.energy_joule / 1e3:.3g}"
    )
    table = Table("trial", "status", "objective", "epochs", "minutes", energy, "", title=title)
    for trial in trials[-_LAST:]:
        table.add_row(*(str(cell) for cell in _row(trial)))
    for attempt in running:
        last = attempt.curve[-1] if attempt.curve else None
        table.add_row(
            f"{attempt.number:04d}",
            f"running, {100 * attempt.progress:.0f} %",
            "" if last is None else f"{last.value:.4g}",
            "" if last is None else str(last.epoch),
        )
    return table

"""The report of `hydracalc eval`: one page with numbers, pictures and the worst structures."""

from collections.abc import Mapping
from pathlib import Path

from hydracalc.validation.branch_errors import FAINT_FORCE, PROPERTIES, SHARES, BranchErrors
from hydracalc.validation.error_pictures import WORST_ELEMENTS, breakdown_figure, element_figure
from hydracalc.validation.evaluation import Evaluation
from hydracalc.validation.evaluation_table import MEV, UNITS
from hydracalc.validation.page import Page
from hydracalc.validation.parity import parity_figure
from hydracalc.validation.pictures import as_png, pretty

HOW_ENERGIES_ARE_TOLD = (
    "Energies are compared per atom on the scale of the branch that answers: its reference "
    "energies are taken off label and prediction alike, and no offset is fitted. Labels of "
    "another level of theory than the branch's therefore show its offset as bias."
)
HOW_FORCES_ARE_TOLD = (
    "Errors of forces and stress are of single components. The cosine is between labelled and "
    f"predicted force of atoms whose label is at least {FAINT_FORCE:g} eV/Å. An element's force "
    "error is of its atoms, its energy error of the structures that have it. Quantiles are of the "
    "size of errors, exact up to 65,536 labels and of an even sample beyond."
)


def write_report(evaluations: Mapping[str, Evaluation], path: Path, *, model: str) -> None:
    """Write the page.

    Args:
        evaluations: of each of the data, by its name.
        path: .html.
        model: its full name.
    """
    page = Page("Errors of a model", model)
    _summary(page, evaluations)
    for data, evaluation in evaluations.items():
        for branch, errors in evaluation.branches.items():
            page.section(
                f"{data}, answered by {branch}",
                f"{errors.num_structures:,} structures, {errors.num_atoms:,} atoms",
            )
            _branch(page, errors)
    page.write(path)


def _summary(page: Page, evaluations: Mapping[str, Evaluation]) -> None:
    page.section("Summary")
    columns = ["data", "branch", "structures"]
    for name in PROPERTIES:
        columns += [f"{name} MAE", "RMSE"] + (["bias"] if name == "energy" else [])
    rows = [
        (data, branch, f"{errors.num_structures:,}", *_cells(errors), _cosine(errors))
        for data, evaluation in evaluations.items()
        for branch, errors in evaluation.branches.items()
    ]
    page.table([*columns, "force cosine"], rows, num_names=2)
    told = [f"{name} in {pretty(unit)}" for name, unit in UNITS.items()]
    page.text(", ".join(told) + ".", is_faint=True)
    page.text(HOW_ENERGIES_ARE_TOLD)
    page.text(HOW_FORCES_ARE_TOLD)
    left_out = [
        (data, reason, f"{count:,}")
        for data, evaluation in evaluations.items()
        for reason, count in evaluation.left_out.most_common()
    ]
    page.heading("Not evaluated")
    if left_out:
        page.table(("data", "reason", "structures"), left_out, num_names=2)
    else:
        page.text("Nothing was left out.")


def _cells(errors: BranchErrors) -> list[str]:
    cells = []
    for name in PROPERTIES:
        sums = errors.total.errors.get(name)
        shown = () if sums is None else (sums.mae, sums.rmse, sums.bias)
        num = 3 if name == "energy" else 2
        cells += [f"{float(e[0]) / MEV:.4g}" for e in shown[:num]] or ["–"] * num
    return cells


def _cosine(errors: BranchErrors) -> str:
    told = errors.cosine_json()
    return "–" if told is None else f"{told['mean']:.4f}"


def _branch(page: Page, errors: BranchErrors) -> None:
    page.picture(as_png(parity_figure(errors)), "labels against predictions")
    page.table(
        ("|error|", *SHARES, "largest"),
        [
            (
                f"{name}, {pretty(UNITS[name])}",
                *(f"{q / MEV:.4g}" for q in distribution.quantiles(tuple(SHARES.values()))),
                f"{(distribution.to_json() or {})['max'] / MEV:.4g}",
            )
            for name, distribution in errors.spread.items()
        ],
    )
    page.heading("Where the errors are")
    page.picture(as_png(breakdown_figure(errors)), "errors by number of atoms, force and element")
    if (errors.by_element.count("energy") > 0).sum() > WORST_ELEMENTS:
        page.picture(as_png(element_figure(errors)), "errors over the periodic table")
    _worst(page, errors)


def _worst(page: Page, errors: BranchErrors) -> None:
    titles = {
        "energy": ("Worst energies", "energy beyond references, eV/atom"),
        "forces": ("Worst forces on one atom", "length of the force, eV/Å"),
    }
    for name, (title, quantity) in titles.items():
        found = errors.worst[name].found()
        if not found:
            continue
        page.heading(f"{title} ({quantity})")
        page.table(
            ("source", "formula", "index", "atom", "atoms", "label", "prediction", "error"),
            [
                (
                    each.source,
                    each.formula,
                    each.index,
                    "" if each.atom is None else each.atom,
                    each.num_atoms,
                    *(f"{value:.4f}" for value in (each.label, each.predicted, each.error)),
                )
                for each in found
            ],
            num_names=2,
        )

"""The runs of the papers, as far as they are known: what is assumed is in their notes."""

from dataclasses import replace

from hydracalc.errors import unknown
from hydracalc.models.hydra import HydraConfig
from hydracalc.planning.workload import BranchLoad, Workload

_NEIGHBORS = 20  # both papers keep at most so many neighbors of an atom

# millions of structures, atoms in each: sizes as the datasets state them, atoms as in slices and
# descriptions of them, rounded
_DATASETS = {
    "alexandria": (4.5, 9.0, 5.0),
    "ani1x": (4.96, 16.0, 5.0),
    "mptrj": (1.58, 31.0, 25.0),
    "nabla2dft": (12.0, 42.0, 10.0),
    "oc20": (133.9, 73.0, 30.0),
    "oc22": (9.85, 80.0, 35.0),
    "oc25": (7.8, 144.0, 40.0),
    "odac23": (38.0, 200.0, 80.0),
    "omat24": (100.8, 19.0, 15.0),
    "omol25": (100.0, 50.0, 35.0),
    "omol25_charged": (50.0, 50.0, 35.0),
    "omol25_neutral": (50.0, 50.0, 35.0),
    "opoly26": (6.5, 180.0, 60.0),
    "qcml": (33.5, 13.0, 5.0),
    "qm7x": (4.2, 17.0, 3.0),
    "transition1x": (9.6, 14.0, 3.0),
}


def _branches(names: tuple[str, ...]) -> tuple[BranchLoad, ...]:
    return tuple(
        BranchLoad(
            name=name,
            num_structures=round(1e6 * _DATASETS[name][0]),
            atoms=_DATASETS[name][1],
            atoms_spread=_DATASETS[name][2],
            edges=_NEIGHBORS * _DATASETS[name][1],
        )
        for name in names
    )


def _budget(workload: Workload, structures: int) -> Workload:
    """The same with room for so many average structures a rank."""
    atoms, edges = workload.per_structure()
    return replace(
        workload, max_atoms=round(structures * atoms), max_edges=round(structures * edges)
    )


def _gfm_2025() -> Workload:
    workload = Workload(
        name="arXiv:2506.21788",
        model=HydraConfig(
            encoder="egnn", num_channels=866, num_layers=4, head_widths=(889, 889, 889)
        ),
        precision="float32",
        branches=_branches(("alexandria", "ani1x", "mptrj", "qm7x", "transition1x")),
        alpha=1.0,
        max_atoms=1,
        max_edges=1,
        notes=(
            "EGNN of 4 layers of 866, heads of 3 layers of 889, batch of 128 a rank: as their "
            "repository has it; hydracalc's own EGNN and heads of these widths",
            f"{_NEIGHBORS} edges an atom, their limit; sizes of datasets and atoms of a structure "
            "are rounded public figures",
        ),
    )
    return _budget(workload.with_total(24_000_000), 128)


def _gfm_2026() -> Workload:
    workload = Workload(
        name="arXiv:2604.15380",
        model=HydraConfig(encoder="painn", num_channels=337, num_layers=4, head_widths=(776, 776)),
        precision="float64",
        branches=_branches(tuple(_DATASETS)),
        alpha=1.0,
        max_atoms=1,
        max_edges=1,
        notes=(
            "PaiNN of 337 channels, heads of 2 layers of 776, float64, batch of 25 a rank: as "
            "their repository has it; 4 layers are assumed, the number is not published",
            f"{_NEIGHBORS} edges an atom, their limit; sizes of datasets and atoms of a structure "
            "are rounded public figures, scaled to 359 million",
        ),
    )
    return _budget(workload.with_total(359_000_000), 25)


PUBLISHED = {"gfm-2025": _gfm_2025, "gfm-2026": _gfm_2026}


def published(name: str) -> Workload:
    """The run of a paper: "gfm-2025" is arXiv:2506.21788, "gfm-2026" arXiv:2604.15380.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in PUBLISHED:
        raise ValueError(unknown("published run", name, PUBLISHED))
    return PUBLISHED[name]()

"""Pictures of statistics: the periodic table is the known one, files are pictures."""

import pytest
from ase.data import atomic_numbers
from published import CARD, make_mixture, make_structure

from hydracalc.shards.reader import open_shards
from hydracalc.shards.writer import ShardWriter
from hydracalc.survey.composition_overlap import count_compositions, overlap
from hydracalc.survey.stats import collect_stats
from hydracalc.survey.stats_plot import draw_stats, place_in_table


@pytest.mark.parametrize(
    ("symbol", "row", "column"),
    [
        ("H", 0, 0),
        ("He", 0, 17),
        ("Be", 1, 1),
        ("B", 1, 12),
        ("Cl", 2, 16),
        ("K", 3, 0),
        ("Sc", 3, 2),
        ("Zn", 3, 11),
        ("Xe", 4, 17),
        ("Ba", 5, 1),
        ("La", 8, 2),
        ("Yb", 8, 15),
        ("Lu", 5, 2),
        ("Hf", 5, 3),
        ("Rn", 5, 17),
        ("Ac", 9, 2),
        ("Lr", 6, 2),
        ("Og", 6, 17),
    ],
)
def test_elements_are_where_the_periodic_table_has_them(symbol, row, column):
    assert place_in_table(atomic_numbers[symbol]) == (row, column)


def test_no_two_elements_share_a_place():
    assert len({place_in_table(z) for z in range(1, 119)}) == 118


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_picture_is_written_whatever_labels_there_are(tmp_path, ending):
    collected, counted = [], {}
    unlabelled = [make_structure(n, (6,), forces=None) for n in range(2)]
    for name, structures in {"mixture": make_mixture(), "plain": unlabelled}.items():
        with ShardWriter(tmp_path / name, card=CARD) as writer:
            for structure in structures:
                writer.add(structure, split="train")
        with open_shards(tmp_path / name) as shards:
            collected.append(collect_stats(shards))
            counted[name] = count_compositions(shards)
    path = tmp_path / f"picture.{ending}"
    draw_stats(collected, path, overlap=overlap(counted))
    start = path.read_bytes()[:200]
    assert start.startswith(b"\x89PNG") if ending == "png" else b"<svg" in start or b"xml" in start
    alone = tmp_path / f"alone.{ending}"
    draw_stats(collected[:1], alone)
    assert 2000 < alone.stat().st_size < path.stat().st_size

"""Folders of published files state the split; the user's own folders do not."""

from pathlib import Path

import pytest

from hydracalc.ingest.folders import place, published_split, refuse_nested, sided

FOLDERS = {"train": "train", "s2ef_train*": "train", "val": "val", "extxyz_val": "val"}


@pytest.mark.parametrize(
    ("path", "split", "name"),
    [
        ("/data/omat/train/rattled-300/data.aselmdb", "train", "train/rattled-300/data"),
        ("/data/omat/val/data.0001.aselmdb", "val", "val/data"),
        ("/train/run/omat/val/data.aselmdb", "val", "val/data"),
        ("s2ef_train_2M/s2ef_train_2M/17.extxyz.xz", "train", "s2ef_train_2M/17"),
        ("/data/extxyz_val/a/b.extxyz", "val", "extxyz_val/a/b"),
        ("/data/my_val_set/b.extxyz", None, "b"),
        ("/data/training/val.aselmdb", None, "val"),
    ],
)
def test_the_innermost_published_folder_counts(path, split, name):
    assert published_split(Path(path), FOLDERS) == split
    assert place(Path(path), FOLDERS) == name


def test_a_group_that_publishers_divided_has_a_name_on_each_side():
    assert sided("Cu", "train") != sided("Cu", "val")
    assert sided("Cu", None) == "Cu"


def test_sets_that_contain_each_other_are_refused():
    sets = ("train", "train_4M")
    refuse_nested([Path("train/omol/train_4M/a"), Path("train/omol/train_4M/b")], sets)
    refuse_nested([Path("a"), Path("val/b"), Path("train/c")], sets)
    with pytest.raises(ValueError, match="^train, train_4M contain each other"):
        refuse_nested([Path("train/a"), Path("train_4M/a")], sets)

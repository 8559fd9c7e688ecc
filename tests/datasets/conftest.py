"""Samples of every dataset, read once."""

import functools
from pathlib import Path

import pytest

from hydracalc.ingest.catalog import list_datasets, load_adapter

FOLDERS = list_datasets()


@functools.cache
def read_sample(name):
    """Structures of a dataset's sample, and the adapter that read them."""
    adapter = load_adapter(name)
    return list(adapter.read(FOLDERS[name] / "sample")), adapter


@pytest.fixture(params=FOLDERS)
def dataset(request):
    return request.param


@pytest.fixture
def structures(dataset):
    return read_sample(dataset)[0]


@pytest.fixture
def adapter(dataset):
    return load_adapter(dataset)


@pytest.fixture
def sample():
    """Function from a dataset to the structures of its sample."""
    return lambda name: read_sample(name)[0]


@pytest.fixture
def folder(dataset) -> Path:
    return FOLDERS[dataset]

"""Who may import whom, and how little `import hydracalc` loads."""

import ast
import json
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "hydracalc"

# a file imports only from lower layers or its own folder; the files beside each other in
# hydracalc/ are one folder
LAYERS = (
    "errors units elements fields structure references card inputs outputs plugins locks",
    "kernels parallel",
    "shards graphs devices readers",
    "ingest store models",
    "checkpoint registry checks labelling survey",
    "training weighting mixture support predictor moving",
    "ensemble",
    "calculator ensemble_calculator recipe simulation",
    "run",
    "validation exam benchmark screening interop",
    "planning finetuning assessment hpo",
    "downstream",
    "cli",
    "__main__",
)
LAYER_OF = {name: layer for layer, names in enumerate(LAYERS) for name in names.split()}
DATASETS = 5  # adapters may use ingest, checks and what is below them

# imported in the named files or folders and nowhere else
HOMES = {
    "mpi4py": ("store/windows.py", "parallel/launch.py"),
    "adios2": ("shards/",),
    "deephyper": ("hpo/",),
    "dftd3": ("interop/dispersion.py",),
    "e3nn": ("models/mace_basis.py",),
    "numba": ("kernels/",),
    "torch_geometric": ("graphs/pyg.py",),
    "torch_sim": ("interop/torchsim.py",),
    "torch.distributed": ("parallel/", "store/", "training/", "run/"),
}

# not needed to predict, so not loaded by the calculator
HEAVY = {
    "adios2",
    "deephyper",
    "e3nn",
    "matplotlib",
    "mpi4py",
    "pandas",
    "pymatgen",
    "sklearn",
    "torch_geometric",
}


def imports_of(path):
    """Every module that a file imports, inside functions too, with its line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), node.lineno
            if node.module == "hydracalc":
                for alias in node.names:
                    yield f"hydracalc.{alias.name}", node.lineno


def part_of(path):
    """The layer table's name of a file: its folder or, right below hydracalc/, its own name."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def library_files():
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def broken_rules(path, where, layer, own):
    """Messages for every import of a file that reaches up, sideways or is not written in full."""
    for module, line in imports_of(path):
        place = f"{where}:{line} imports {module}"
        parts = module.split(".")
        if module.startswith("."):
            yield f"{place}: write the import in full"
        elif parts[0] == "hydracalc" and len(parts) > 1:
            target = LAYER_OF.get(parts[1])
            beside = "." in str(own) and (PACKAGE / f"{parts[1]}.py").exists()
            if target is None:
                yield f"{place}: {parts[1]!r} is in no layer of this test's table"
            elif target > layer or (
                target == layer and parts[1] != str(own).removesuffix(".py") and not beside
            ):
                yield f"{place}: layer {layer} may not import layer {target}"


def test_every_file_has_a_layer():
    unknown = {part_of(path) for path in library_files()} - set(LAYER_OF)
    assert not unknown, f"in no layer of LAYERS: {sorted(unknown)}"


@pytest.mark.parametrize("path", library_files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_imports_only_from_lower_layers_or_its_own_folder(path):
    own = path.relative_to(PACKAGE).parts[0]
    layer = LAYER_OF[part_of(path)]
    assert list(broken_rules(path, path.relative_to(ROOT), layer, own)) == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "datasets").glob("*/adapter.py")), ids=lambda p: p.parent.name
)
def test_an_adapter_imports_only_from_below(path):
    assert list(broken_rules(path, path.relative_to(ROOT), DATASETS, "datasets")) == []


def test_files_do_not_import_each_other_in_a_circle():
    def name(path):
        return ".".join(path.relative_to(ROOT).with_suffix("").parts)

    files = {name(path): path for path in library_files()}
    graph = {
        module: {target for target, _ in imports_of(path) if target in files}
        for module, path in files.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, naming the circle


@pytest.mark.parametrize("module", HOMES)
def test_a_heavy_package_is_imported_only_in_its_home(module):
    strays = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in library_files()
        for target, line in imports_of(path)
        if (target == module or target.startswith(module + "."))
        and not str(path.relative_to(PACKAGE)).startswith(HOMES[module])
    ]
    assert strays == []


def test_the_rules_catch_an_upward_import_inside_a_function(tmp_path):
    """The test of the test: it can fail."""
    file = tmp_path / "graph.py"
    file.write_text("def f():\n    from hydracalc.cli import main\n    from . import x\n")
    first, second = broken_rules(file, "graph.py", LAYER_OF["graphs"], "graphs")
    assert first == "graph.py:2 imports hydracalc.cli: layer 2 may not import layer 12"
    assert second.endswith("write the import in full")


@pytest.mark.parametrize("module", ["hydracalc", "hydracalc.calculator"])
def test_importing_loads_nothing_that_prediction_does_not_need(module, record_property):
    """Beyond what a bare `import torch` brings, which includes torch.distributed itself."""
    code = f"""
import json, sys, time
import torch
before = set(sys.modules)
start = time.perf_counter()
import {module}
seconds = time.perf_counter() - start
print(json.dumps([seconds, sorted(set(sys.modules) - before)]))
"""
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    seconds, loaded = json.loads(output)
    record_property("seconds beyond torch", round(seconds, 3))
    assert {name.split(".")[0] for name in loaded} & HEAVY == set()
    assert [name for name in loaded if name.startswith("torch.distributed")] == []


def test_importing_hydracalc_alone_loads_no_torch():
    code = "import sys, hydracalc; print('torch' in sys.modules, 'numpy' in sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert output.split() == ["False", "False"]


def test_public_names_are_found_and_others_are_not():
    import hydracalc

    assert hydracalc.AtomicStructure.__name__ == "AtomicStructure"
    assert hydracalc.__version__.count(".") == 2
    for name in hydracalc.__all__:
        assert getattr(hydracalc, name).__module__.startswith("hydracalc.")
    with pytest.raises(AttributeError, match="no attribute 'Calculator'"):
        _ = hydracalc.Calculator

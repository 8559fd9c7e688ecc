"""Rules of CONTRIBUTING.md that a machine can check."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = sorted([*(ROOT / "hydracalc").rglob("*.py"), *(ROOT / "datasets").glob("*/*.py")])
ALL = sorted([*CODE, *(ROOT / "tests").rglob("*.py"), *(ROOT / "examples").rglob("*.py")])

MAX_FILE_LINES = 400
MAX_INIT_LINES = 30
MAX_FUNCTION_LINES = 60
PICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
RUNNING_TEXT = {"eval", "exec", "__import__", "torch.load", "torch.save"}
EMPTY_NAMES = {"utils", "util", "common", "helpers", "helper", "misc", "tools"}
READS_ENVIRONMENT = "parallel/launch.py"


def name(path):
    return str(path.relative_to(ROOT))


def tree(path):
    return ast.parse(path.read_text())


def code_lines(function):
    """Lines of a function without its docstring."""
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def imported(node):
    """Modules that an import statement names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def forbidden_calls(source):
    """Pickling and running of text: "line: what" for each."""
    for node in ast.walk(ast.parse(source)):
        for module in imported(node):
            if module.split(".")[0] in PICKLING:
                yield f"{node.lineno}: import {module}"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in RUNNING_TEXT:
                yield f"{node.lineno}: {called}()"
            if any(
                k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in node.keywords
            ):
                yield f"{node.lineno}: allow_pickle"


def environment_uses(source):
    for node in ast.walk(ast.parse(source)):
        text = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        if text in {"os.environ", "os.getenv", "os.putenv", "os.environb"}:
            yield f"{node.lineno}: {text}"
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            for alias in node.names:
                if alias.name in {"environ", "getenv", "putenv"}:
                    yield f"{node.lineno}: from os import {alias.name}"


@pytest.mark.parametrize("path", ALL, ids=name)
def test_a_file_is_short(path):
    lines = len(path.read_text().splitlines())
    assert lines <= (MAX_INIT_LINES if path.name == "__init__.py" else MAX_FILE_LINES)


@pytest.mark.parametrize("path", CODE, ids=name)
def test_a_function_fits_one_screen(path):
    long = [
        f"{node.name}, {code_lines(node)} lines"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and code_lines(node) > MAX_FUNCTION_LINES
    ]
    assert long == []


@pytest.mark.parametrize("path", CODE, ids=name)
def test_nothing_pickles_or_runs_text(path):
    assert list(forbidden_calls(path.read_text())) == []


@pytest.mark.parametrize("path", CODE, ids=name)
def test_only_the_launcher_reads_the_environment(path):
    if not name(path).endswith(READS_ENVIRONMENT):
        assert list(environment_uses(path.read_text())) == []


def test_a_file_is_named_after_what_it_holds():
    assert [name(path) for path in CODE if path.stem in EMPTY_NAMES] == []


def test_every_folder_of_the_library_is_a_package():
    folders = {path.parent for path in (ROOT / "hydracalc").rglob("*.py")}
    assert [name(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_tests_mirror_the_library():
    """A test file that names a file of the library sits in the folder of the same name."""
    strays = []
    for path in (ROOT / "tests").rglob("test_*.py"):
        tested = path.stem.removeprefix("test_") + ".py"
        folders = {p.parent.name for p in (ROOT / "hydracalc").rglob(tested)}
        folder = "hydracalc" if path.parent.name == "tests" else path.parent.name
        elsewhere = folder in {"contracts", "physics", "parallel", "datasets"}
        if folders and folder not in folders and not elsewhere:
            strays.append(f"{name(path)} (library: {sorted(folders)})")
    assert strays == []


def test_the_rules_can_fail():
    """The test of the tests."""
    assert list(forbidden_calls("import pickle\nmodel.eval()\neval('1')\ntorch.load(f)")) == [
        "1: import pickle",
        "3: eval()",
        "4: torch.load()",
    ]
    assert list(forbidden_calls("np.load(f, allow_pickle=True)\nnp.load(f, allow_pickle=False)"))
    assert len(list(environment_uses("from os import environ\nos.getenv('X')\nos.environ"))) == 3
    long = "def f():\n    '''Doc.\n\n    More.\n    '''\n" + "    x = 1\n" * 70
    assert code_lines(ast.parse(long).body[0]) == 71

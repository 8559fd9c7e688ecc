"""`hydracalc eval` on several data at once, with a report."""

import ase.io
import pytest
from ase.calculators.singlepoint import SinglePointCalculator


@pytest.fixture
def files(folder):
    """The same molecule with two labels."""
    for name, energy in (("a.extxyz", -100.0), ("b.extxyz", -200.0)):
        atoms = ase.io.read("methanol.xyz")
        atoms.calc = SinglePointCalculator(atoms, energy=energy)
        atoms.write(name)
    return "a.extxyz", "b.extxyz"


def test_several_data_are_told_apart(hydracalc, files, small_model):
    options = ("-m", small_model, "-b", "organic")
    both = hydracalc("eval", *files, *options, as_json=True)["data"]
    assert list(both) == list(files)
    for name in files:
        alone = hydracalc("eval", name, *options, as_json=True)
        assert alone["data"] == name
        assert alone["branches"] == both[name]["branches"]
    text = hydracalc("eval", *files, *options).stdout
    assert text.index("a.extxyz") < text.index("b.extxyz")


def test_the_report_is_one_file(hydracalc, files, small_model, folder):
    hydracalc("eval", *files, "-m", small_model, "-b", "organic", "--report", "report.html")
    page = (folder / "report.html").read_text()
    assert page.count("<section>") == 3
    assert page.count("data:image/png;base64,") == 4
    assert not list(folder.glob("*.part"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.extxyz", "a.extxyz"), "a.extxyz is given twice"),
        (("a.extxyz", "--by", "elements"), "did you mean 'element'"),
    ],
)
def test_bad_input_is_code_two(hydracalc, files, small_model, arguments, message):
    result = hydracalc("eval", *arguments, "-m", small_model, "-b", "organic", code=2)
    assert message in result.stderr

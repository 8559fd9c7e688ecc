"""What must change nothing: each broken symmetry fails its own item."""

import pytest
import subjects
from builders import make_model

from hydracalc.calculator import HydraCalculator
from hydracalc.checkpoint import save_checkpoint
from hydracalc.exam.examine import ExamConfig, examine


@pytest.mark.parametrize(
    ("broken", "items"),
    [
        (subjects.Upright, {"rotation"}),
        # a field that knows the origin, its virial not among the stress, acts on each copy anew
        (subjects.Field, {"translation", "rotation", "stress", "extensivity"}),
        # only one atom of a supercell is the first
        (subjects.FirstAtom, {"permutation", "extensivity"}),
    ],
)
def test_a_broken_symmetry_fails(failed, broken, items):
    assert failed(broken()) == items


def test_a_memory_fails_whatever_is_compared_with_something_else_before(failed):
    found = failed(subjects.Remembering())
    assert "memory" in found
    assert found.isdisjoint({"forces", "stress", "jacobian", "dimers", "cutoff", "collision"})


class TogetherElse(HydraCalculator):
    """Structures computed together get the energy of the first."""

    def evaluate(self, structures, **options):
        results = super().evaluate(structures, **options)
        return [{**result, "energy": results[0]["energy"]} for result in results]


@pytest.mark.parametrize(("kind", "passes"), [(HydraCalculator, True), (TogetherElse, False)])
def test_batching_fails_where_company_changes_results(tmp_path, kind, passes):
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, make_model(), provenance={})
    result = examine(kind(path, branch="general"), ExamConfig(items=["batching", "memory"]))
    assert result.names("passed" if passes else "failed") == (
        ["memory", "batching"] if passes else ["batching"]
    )

"""Training lowers the error, resumes bit for bit, and names what breaks it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import ENCODERS

from hydracalc.errors import DataError
from hydracalc.models.hydra import HydraConfig, HydraModel
from hydracalc.training.config import TrainerConfig, TrainingConfig
from hydracalc.training.ema import EmaConfig, MovingAverage
from hydracalc.training.loop import Surroundings, Trainer
from hydracalc.training.metrics import evaluate
from hydracalc.training.sampler import BranchShare, SamplerConfig, TrainingSet
from hydracalc.training.schedule import ScheduleConfig, learning_rate

from .conftest import clusters, metals, spec_of

SIZES = {"cutoff": 4.5, "num_channels": 16, "num_layers": 2, "num_radial": 8, "head_widths": (16,)}


def make_trainer(
    two_sets,
    folder=None,
    *,
    epochs=3,
    structures=None,
    model=None,
    precision="float32",
    **schedule,
):
    torch.manual_seed(0)
    model = HydraModel(HydraConfig(**(SIZES | (model or {}))), [spec_of(s) for s in two_sets])
    every = structures or [*two_sets[0], *two_sets[1]]
    data = TrainingSet(every, branch_names=model.branch_names, cutoff=4.5)
    config = TrainerConfig(
        training=TrainingConfig(epochs=epochs, precision=precision),
        schedule=ScheduleConfig(**({"learning_rate": 5e-3, "warmup_steps": 5} | schedule)),
        sampler=SamplerConfig(max_atoms=32, max_edges=4000),
        ema=EmaConfig(decay=0.9),
    )
    return Trainer(
        model,
        data,
        validation=data,
        branches=[BranchShare() for _ in two_sets],
        config=config,
        surroundings=Surroundings(folder=folder),
    )


def weights_of(model):
    return torch.cat([p.detach().ravel() for p in model.parameters()])


def test_training_learns_both_branches_beyond_their_own_structures(two_sets):
    trainer = make_trainer(two_sets, epochs=60)
    unseen = TrainingSet(
        [*metals(6, seed=9), *clusters(6, seed=8)],
        branch_names=trainer.model.branch_names,
        cutoff=4.5,
    )
    before = evaluate(trainer.average.model, unseen)
    after = evaluate(trainer.run(), unseen)
    for branch in ("metals", "clusters"):
        key = "force_mae_eV_per_A"
        assert after[branch][key] < 0.5 * before[branch][key], branch


def test_a_resumed_run_ends_with_the_same_bits(two_sets, tmp_path):
    whole = make_trainer(two_sets, tmp_path / "whole", epochs=4)
    expected = whole.run()
    first = make_trainer(two_sets, tmp_path / "parts", epochs=4)
    stop_after(first, steps=whole.position.step // 2 + 2)
    second = make_trainer(two_sets, tmp_path / "parts", epochs=4)
    second.resume()
    got = second.run()
    assert second.position.step == whole.position.step
    assert torch.equal(weights_of(second.model), weights_of(whole.model))
    assert torch.equal(weights_of(got), weights_of(expected))


def stop_after(trainer, steps):
    """Interrupt a run in the middle of an epoch; it saves its state on the way out."""
    original = trainer.step

    def step(graph, progress=0.0):
        if trainer.position.step == steps:
            raise KeyboardInterrupt
        return original(graph, progress)

    trainer.step = step
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert trainer.position.batch > 0


@pytest.mark.parametrize("precision", ["bfloat16", "float64"])
def test_a_run_in_another_precision_learns_and_resumes_with_the_same_bits(
    two_sets, tmp_path, precision
):
    """With products in bfloat16, weights and moments are float32, in memory and in the state."""
    whole = make_trainer(two_sets, tmp_path / "whole", epochs=4, precision=precision)
    before = evaluate(whole.average.model, whole.data)["metals"]["force_mae_eV_per_A"]
    result = whole.run()
    assert evaluate(result, whole.data)["metals"]["force_mae_eV_per_A"] < before
    expected = torch.float64 if precision == "float64" else torch.float32
    assert result.precision == whole.model.precision == precision
    assert {p.dtype for p in result.parameters()} == {expected}
    moments = [m["exp_avg"].dtype for m in whole.optimizer.state.values()]
    assert set(moments) == {expected}
    stop_after(make_trainer(two_sets, tmp_path / "parts", epochs=4, precision=precision), steps=4)
    second = make_trainer(two_sets, tmp_path / "parts", epochs=4, precision=precision)
    second.resume()
    assert torch.equal(weights_of(second.run()), weights_of(result))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_learns_forces(two_sets, encoder):
    trainer = make_trainer(two_sets, epochs=12, model={"encoder": encoder})
    before = evaluate(trainer.average.model, trainer.data)
    after = evaluate(trainer.run(), trainer.data)
    for branch in ("metals", "clusters"):
        key = "force_mae_eV_per_A"
        assert after[branch][key] < 0.9 * before[branch][key], branch


def test_a_structure_whose_gradient_is_not_finite_is_blamed_by_name(two_sets):
    """Two atoms at one place have no direction between them."""
    positions = two_sets[0][4].positions.copy()
    positions[1] = positions[0]
    bad = replace(two_sets[0][4], positions=positions, source="the bad one")
    structures = [*two_sets[0][:4], bad, *two_sets[1]]
    trainer = make_trainer(two_sets, structures=structures)
    with pytest.raises(
        DataError, match=r"not finite at step \d+: structures \['metals: the bad one'\]"
    ):
        trainer.run()
    assert torch.isfinite(weights_of(trainer.model)).all()


def test_a_branch_without_forces_or_stress_trains_on_its_energies(two_sets):
    blind = [replace(s, forces=None, stress=None) for s in two_sets[1]]
    trainer = make_trainer(two_sets, structures=[*two_sets[0], *blind], epochs=1)
    result = evaluate(trainer.run(), trainer.data)
    assert "energy_mae_eV_per_atom" in result["clusters"]
    assert "force_mae_eV_per_A" not in result["clusters"]


def test_direct_force_heads_learn_beside_the_derivatives(two_sets):
    trainer = make_trainer(two_sets, epochs=30, model={"direct_forces": True})
    key = "direct_force_mae_eV_per_A"
    before = evaluate(trainer.average.model, trainer.data)
    after = evaluate(trainer.run(), trainer.data)
    for branch in ("metals", "clusters"):
        assert after[branch][key] < 0.7 * before[branch][key]


def test_metrics_of_a_run_are_written_with_their_units(two_sets, tmp_path):
    import json

    make_trainer(two_sets, tmp_path, epochs=2).run()
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    last = records[-1]
    assert last["epoch"] == 2
    assert last["val/metals/force_mae_eV_per_A"] > 0
    assert last["val/metals/stress_mae_eV_per_A3"] > 0
    assert (tmp_path / "state.safetensors").is_file()


def test_the_time_limit_ends_a_run_with_the_rate_down(two_sets):
    trainer = make_trainer(two_sets, epochs=10_000)
    training = replace(trainer.config.training, max_minutes=0.02)
    trainer.config = replace(trainer.config, training=training)
    trainer.run()
    assert trainer.position.epoch < 10_000
    assert trainer.position.seconds == pytest.approx(1.2, rel=1)
    assert trainer.optimizer.param_groups[0]["lr"] < 0.2 * 5e-3


def test_the_schedule_rises_and_falls():
    config = ScheduleConfig(learning_rate=1.0, warmup_steps=10, final_fraction=0.1)
    assert learning_rate(0, 0.0, config) == pytest.approx(0.1)
    assert learning_rate(9, 0.0, config) == pytest.approx(1.0)
    assert learning_rate(100, 0.5, config) == pytest.approx(0.55)
    assert learning_rate(100, 1.0, config) == pytest.approx(0.1)
    assert learning_rate(100, 1.7, config) == pytest.approx(0.1)


def test_the_average_is_the_recursion_of_its_weights(two_sets):
    trainer = make_trainer(two_sets)
    average = MovingAverage(trainer.model, EmaConfig(decay=0.8))
    expected = weights_of(trainer.model).numpy().copy()
    for step in range(30):
        with torch.no_grad():
            for parameter in trainer.model.parameters():
                parameter += 0.1
        average.update(trainer.model, step)
        keep = min(0.8, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * weights_of(trainer.model).numpy()
    np.testing.assert_allclose(weights_of(average.model), expected, rtol=1e-4, atol=1e-5)


def test_biases_and_embeddings_are_not_decayed(two_sets):
    trainer = make_trainer(two_sets)
    groups = trainer.optimizer.param_groups
    assert [g["weight_decay"] for g in groups] == [1e-3, 0.0]
    plain = {id(p) for p in groups[1]["params"]}
    assert id(trainer.model.encoder.embedding.charge.weight) in plain
    every = sum(len(g["params"]) for g in groups)
    assert every == len(list(trainer.model.parameters()))


def test_a_damaged_or_foreign_state_is_refused(two_sets, tmp_path):
    trainer = make_trainer(two_sets, tmp_path, epochs=1)
    with pytest.raises(ValueError, match="no train state"):
        trainer.resume()
    trainer.run()
    content = trainer.state_path.read_bytes()
    trainer.state_path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="damaged"):
        trainer.resume()
    trainer.state_path.write_bytes(content)
    other = make_trainer(two_sets[:1], tmp_path, structures=list(two_sets[0]))
    with pytest.raises(DataError, match="another model"):
        other.resume()

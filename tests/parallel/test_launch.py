"""How a process was started is told from what launchers set, and MPI is not touched without one."""

import pytest

from hydracalc.parallel import launch

ALL = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PALS_SIZE", "MPI_LOCALNRANKS")
SLURM = ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID")


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in (*ALL, *SLURM):
        monkeypatch.delenv(name, raising=False)


def test_a_process_by_itself_is_one():
    assert launch.num_launched() == 1
    assert launch.world() is None


@pytest.mark.parametrize("name", ALL)
def test_a_launcher_states_how_many(monkeypatch, name):
    monkeypatch.setenv(name, "4")
    assert launch.num_launched() == 4


def test_srun_is_told_from_a_shell_inside_an_allocation(monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "8")
    assert launch.num_launched() == 1
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert launch.num_launched() == 8


def test_a_launcher_of_another_mpi_is_an_error(monkeypatch):
    """mpi4py sees one process, so each would do all the work and write the same files."""
    monkeypatch.setattr(launch, "num_launched", lambda: 4)
    monkeypatch.setitem(__import__("sys").modules, "mpi4py", None)
    with pytest.raises(ValueError, match=r"one of 4 processes.*install hydracalc\[mpi\]"):
        launch.world()


@pytest.mark.mpi
def test_ranks_find_each_other(ranks):
    code = "from hydracalc.parallel import launch\nprint(launch.world().Get_size())"
    result = ranks(code, 3)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["3", "3", "3"]

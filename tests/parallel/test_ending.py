"""Processes that were started together end together, and the first message says why."""

import os
import re
import signal

import pytest

from hydracalc.parallel.ending import Ending, in_words, together
from hydracalc.parallel.launch import Launch

ALONE = Launch("alone", 0, 1, 0, 1)

BEGIN = """
import os, signal, time
import torch
import torch.distributed as dist
from hydracalc.parallel.ending import Ending, joined

def say(text):
    os.write(1, (text + chr(10)).encode())  # whole lines, whoever else writes

with joined(timeout_s=60) as launch, Ending(launch) as ending:
    number = torch.ones(1)
    dist.all_reduce(number)
    say("ready")
"""

FAILS = """
    if launch.rank == GUILTY:
        time.sleep(0.2)  # the others wait by now
        raise ValueError("shard 7" + chr(10) + "is damaged")
    dist.all_reduce(number) if launch.rank != 2 else time.sleep(60)
    say("went on")
"""

STALLS = """
    if launch.rank == 1:
        time.sleep(60)
    dist.all_reduce(number)
"""

SAVES = """
    steps = 0
    while not ending.requested():
        steps += 1
        time.sleep(0.01)
    say(f"saved after {steps} steps of {launch.size} ranks")
    while ending.heard is None:
        time.sleep(0.01)
    say(f"was told by signal {int(ending.heard)}")
"""

# once MPI has ended, rank 0 goes at once, and the others take a while to be taken down
LINGERS = """
class Slow:
    def __del__(self, sleep=time.sleep):
        sleep(0.5)

slow = Slow() if launch.rank else None
from mpi4py import MPI
MPI.Finalize()
"""


def others_said(job):
    """Lines of ranks after the first line on stderr; launchers say what they like."""
    return [line for line in job.errors[1:] if re.match(r"rank \d+:|\[rank", line)]


@pytest.mark.mpi
@pytest.mark.parametrize(("launcher", "guilty"), [("mpiexec", 0), ("torchrun", 1)])
def test_an_error_of_one_rank_ends_all_with_its_message_first(launched, launcher, guilty):
    """One of the others waits in a sum, one is busy: neither says anything."""
    job = launched(launcher, (BEGIN + FAILS).replace("GUILTY", str(guilty)), 3)
    job.wait_until("ready", 3)
    assert job.wait(seconds=15) > 0
    assert job.errors[0] == f"rank {guilty}: shard 7 is damaged"
    assert others_said(job) == []
    assert job.output == ["ready"] * 3


@pytest.mark.mpi
def test_a_rank_that_stalls_is_named_when_the_others_have_waited_enough(launched):
    job = launched("mpiexec", (BEGIN + STALLS).replace("timeout_s=60", "timeout_s=2"), 3)
    job.wait_until("ready", 3)
    assert job.wait(seconds=20) > 0
    assert re.match(r"rank [02]: waited too long for .*: no word from rank 1 \(", job.errors[0])
    assert others_said(job) == []


def test_a_rank_that_does_not_start_ends_the_others(launched):
    late = "import os, time\nif os.environ['RANK'] == '1': time.sleep(60)\n"
    job = launched("torchrun", late + BEGIN.replace("timeout_s=60", "timeout_s=1"), 2)
    assert job.wait(seconds=40) > 0
    (said,) = (line for line in job.errors if line.startswith("rank "))
    assert re.match(r"rank 0: (not all|.* found no connection).* within 1 s", said)


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("launcher", "number", "code"),
    # torchrun itself fails after a signal, whatever its processes do
    [
        ("mpiexec", signal.SIGTERM, 0),
        ("mpiexec", signal.SIGUSR1, 0),
        ("torchrun", signal.SIGTERM, 1),
    ],
)
def test_a_signal_to_the_launcher_lets_all_ranks_save_after_the_same_step(
    launched, launcher, number, code
):
    job = launched(launcher, BEGIN + SAVES, 2)
    job.wait_until("ready", 2)
    job.process.send_signal(number)
    assert job.wait(seconds=20) == code, job.errors
    saved = [line for line in job.output if line.startswith("saved")]
    assert len(saved) == 2
    assert len(set(saved)) == 1
    assert job.output.count(f"was told by signal {int(number)}") == 2


@pytest.mark.mpi
def test_ranks_that_are_slow_to_leave_outlive_rank_0(launched):
    job = launched("mpiexec", BEGIN + LINGERS, 3)
    assert job.wait() == 0, job.errors


def test_alone_an_error_goes_its_usual_way():
    with pytest.raises(ValueError, match="bad"), together(ALONE):
        raise ValueError("bad")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_alone_a_signal_asks_to_end_and_is_what_it_was_afterwards(number):
    before = signal.getsignal(number)
    with Ending(ALONE) as ending:
        assert not ending.requested()
        os.kill(os.getpid(), number)
        assert ending.requested()
        assert ending.heard is number
    assert signal.getsignal(number) is before


def test_the_second_interrupt_from_the_keyboard_is_not_waited_with():
    with Ending(Launch("mpiexec", 0, 2, 0, 2)) as ending:
        os.kill(os.getpid(), signal.SIGINT)
        assert ending.heard is signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_alone_the_keyboard_interrupts_at_once():
    with Ending(ALONE), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("dt is -1"), "dt is -1"),
        (KeyError("x"), "KeyError: 'x'"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_an_error_has_a_message_and_a_code(error, message):
    words, code = in_words(error)
    assert words == message
    assert code > 0

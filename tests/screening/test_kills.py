"""A screening that is killed loses nothing and repeats nothing."""

import multiprocessing
import random
import time

import ase.io
from screened import make_structures

from hydracalc.screening.piece_work import ScreenConfig
from hydracalc.screening.results import open_results
from hydracalc.screening.screen import screen_files


def finished(folder):
    """Blocks of an unfinished screening."""
    return len(list((folder / ".out.part").glob("block-*.json")))


def test_killed_at_random_moments_every_structure_is_there_once(choice, tmp_path):
    """SIGKILL at any moment of a run, again and again, until one comes to its end."""
    path, config = tmp_path / "many.traj", ScreenConfig(block=5)
    ase.io.write(path, make_structures(600))
    calm = screen_files([path], tmp_path / "calm", choice, config=config)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hydracalc.screening.screen"])
    moments, out, kills, gained = random.Random(0), tmp_path / "out", 0, 0
    while kills < 8 and not out.exists():
        before = finished(tmp_path)
        process = context.Process(
            target=screen_files, args=([path], out, choice), kwargs={"config": config}
        )
        process.start()
        # every other one gets to work first, so that the end comes nearer, but not there
        while kills % 2 and finished(tmp_path) == before and process.is_alive():
            time.sleep(0.002)
        process.join(moments.uniform(0, 0.03 if kills % 2 else 0.3))
        kills += process.is_alive()
        process.kill()
        process.join()
        gained += finished(tmp_path) > before
    report = screen_files([path], out, choice, config=config)
    assert kills > 2
    assert gained > 1
    assert report.sha256 == calm.sha256
    names = open_results(out).text("name")
    assert names == [f"{path}:{number}" for number in range(600)]

"""`hydracalc bench`: speed and memory of a model on this machine."""

import json
from typing import Any

import click

from hydracalc.cli.options import branch_choice, json_option


@click.command()
@click.argument("model", default="mtl-all")
@click.option("--sizes", default=None, help="Atoms: 12 is benzene, multiples of 8 a crystal.")
@click.option("--threads", type=int, default=None, help="That torch may use.")
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
@click.option("--dtype", default="auto", help="auto, float32, float64 or bfloat16.")
@click.option("-b", "--branch", help="Branch, auto, or weights as in a=0.7,b=0.3.")
@click.option("--compile", is_flag=True, help="Let torch compile the model.")
@click.option("--memory/--no-memory", default=True, help="Peak memory of every size.")
@click.option("--training", is_flag=True, help="Also a training step.")
@click.option("--precision", is_flag=True, help="Also errors and drift by precision.")
@click.option("--roofline", is_flag=True, help="Also rates against the machine's limits.")
@json_option
def bench(
    sizes: str | None,
    branch: str | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401  # fields of BenchConfig
) -> None:
    """Time of a step of dynamics over sizes, atoms/s, cost against size, peak memory.

    MODEL is a name or a path. The structures are benzene and supercells of one crystal whose
    elements the model knows, off rest and at 300 K.
    """
    from rich.console import Console

    from hydracalc.benchmark import report, suite, systems

    if sizes is not None:
        options["sizes"] = systems.parse_sizes(sizes)
    config = suite.BenchConfig(branch=branch_choice(branch), **options)
    found = suite.run(config, show=lambda line: click.echo(line, err=True))
    if as_json:
        click.echo(json.dumps(report.to_json(found), indent=2))
        return
    console = Console(width=140)
    for block in report.blocks(found):
        console.print(block, highlight=False, markup=False)

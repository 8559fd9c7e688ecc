"""`python -m hydracalc`, for launchers that start Python itself."""

from hydracalc.cli.main import main

main(prog_name="hydracalc")

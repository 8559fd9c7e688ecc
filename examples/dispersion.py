"""Two benzene molecules on top of each other: what dispersion adds. Needs hydracalc[dispersion]."""

from ase.build import molecule

from hydracalc import HydraCalculator
from hydracalc.interop.dispersion import with_dispersion

calc = HydraCalculator("mtl-all", branch="rmd17")
corrected = with_dispersion(calc)
print(calc.branch_card("rmd17").theory)

alone = molecule("C6H6")
print("height, A   without D3, meV   with D3(BJ), meV")
for height in (3.2, 3.6, 4.0, 5.0, 7.0, 10.0):
    upper = alone.copy()
    upper.positions[:, 2] += height
    binding = []
    for each in (calc, corrected):
        energies = [each.get_potential_energy(atoms) for atoms in (alone + upper, alone)]
        binding.append(1e3 * (energies[0] - 2 * energies[1]))
    print(f"{height:9.1f} {binding[0]:17.1f} {binding[1]:18.1f}")

# branches whose labels hold dispersion add none; ones without D3 parameters refuse
water = molecule("H2O")
water.calc = with_dispersion(calc.with_branch("auto"), functionals={"ani1x": None})
try:
    water.get_potential_energy()
except ValueError as error:
    print(error)

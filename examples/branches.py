"""One molecule by every branch: published scales, and the spread beyond references."""

from ase.build import molecule

from hydracalc import HydraCalculator

calc = HydraCalculator("mtl-all", uncertainty="branches")
water = molecule("H2O")
water.calc = calc
water.get_potential_energy()

weights = calc.extras["branch_weights"]
for branch, energy in calc.extras["branch_energies"].items():
    theory = calc.branch_card(branch).theory
    print(f"{branch:14s} weight {weights[branch]:.3f}  {energy:14.4f} eV   {theory}")
spread = calc.extras["uncertainty"]["energy_per_atom"]
print(f"spread between branches beyond their references: {1e3 * spread:.1f} meV/atom")

# one branch alone answers on the scale of its own dataset
alone = calc.with_branch("ani1x")
water.calc = alone
print("ani1x alone:", water.get_potential_energy(), "eV")

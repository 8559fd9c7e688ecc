"""What the shipped model is held to, in one place; to be extended when a better one is shipped."""

# elements whose lattice constants are within 5 % of experiment, by branch
LATTICES = {
    "auto": ("Al", "Fe", "W", "Cu", "Ag", "Pt", "C", "Si", "Ge", "Mg"),
    "mptrj": ("Al", "Fe", "Ni", "Rh", "Si", "Na", "Ti"),
}

# branches by which two atoms of every pair of these elements are smooth and repel
PAIRS = {"auto": ("H", "C", "N", "O", "Si", "Cu"), "mptrj": ("H", "O", "Cu")}

# datasets whose test structures are made again from slice/ and measured against the card
MEASURED_AGAIN = ("ani1x", "mptrj", "rmd17", "transition1x")

"""Models: encoders that describe atoms, branches that turn descriptions into energies."""

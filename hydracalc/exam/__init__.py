"""Whether a calculator obeys physics: items with pass marks, measured through ASE alone."""

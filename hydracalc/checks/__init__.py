"""Do labels obey physics? Units, signs and orders of a card held against the numbers."""

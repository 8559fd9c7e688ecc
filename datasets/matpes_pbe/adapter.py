"""MatPES, PBE: snapshots of crystals in molecular dynamics [10.48550/arXiv.2503.04070]."""

from hydracalc.ingest.matpes import MatpesAdapter


class MatpesPbe(MatpesAdapter):
    """Reads the entries computed with PBE."""

    functional = "PBE"
    patterns = ("MatPES-PBE-20*.json.gz", "MatPES-PBE-20*.json", "MatPES-PBE-20*.jsonl")

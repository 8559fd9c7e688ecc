"""MatPES, r2SCAN: snapshots of crystals in molecular dynamics [10.48550/arXiv.2503.04070]."""

from hydracalc.ingest.matpes import MatpesAdapter


class MatpesR2scan(MatpesAdapter):
    """Reads the entries computed with r2SCAN."""

    functional = "r2SCAN"
    patterns = ("MatPES-R2SCAN-20*.json.gz", "MatPES-R2SCAN-20*.json", "MatPES-R2SCAN-20*.jsonl")

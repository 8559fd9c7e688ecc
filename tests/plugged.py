"""Installed packages that add to hydracalc: files and dist-info as pip would leave them."""

import importlib
import sys
import textwrap


class Installer:
    """Puts packages into a folder of sys.path and forgets their modules in the end."""

    def __init__(self, folder):
        self.folder = folder
        self.packages = []

    def __call__(self, package, files, entry_points, *, version="1.0"):
        """Files by name below the package's folder; entry points by group, then by name."""
        root = self.folder / package
        for name, text in {"__init__.py": "", **files}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        info = self.folder / f"{package}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        )
        lines = [
            line
            for group, entries in entry_points.items()
            for line in (f"[{group}]", *(f"{name} = {where}" for name, where in entries.items()))
        ]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        self.packages.append(package)
        importlib.invalidate_caches()

    def forget(self):
        for module in [m for m in sys.modules if m.split(".")[0] in self.packages]:
            del sys.modules[module]

"""Sizes of what is installed: to run an artefact from Python (numpy), edgec, and edgec with the back end for CPUs.

python bench/install_size.py. It needs a network: each is installed by pip into an empty environment.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
WHAT = {"numpy, to run an artefact": "numpy", "edgec": str(ROOT), "edgec[tvm]": f"{ROOT}[tvm]"}
MB = 1e6


def size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*"))


def main() -> None:
    print("| installed | MB | largest packages, MB |\n| --- | ---: | --- |")
    for name, requirement in WHAT.items():
        with tempfile.TemporaryDirectory() as folder:
            venv.create(folder, with_pip=True)
            site = next(Path(folder).glob("lib/python*/site-packages"))
            before = size(site)
            pip = [f"{folder}/bin/python", "-m", "pip", "install", "-q", "--no-compile", requirement]
            subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
            parts = sorted(((size(path), path.name) for path in site.iterdir() if path.is_dir()), reverse=True)
            ours = [(bytes_, part) for bytes_, part in parts if not part.startswith(("pip", "setuptools"))]
            shown = ", ".join(f"{part} {bytes_ / MB:.0f}" for bytes_, part in ours[:5])
            print(f"| {name} | {(size(site) - before) / MB:.0f} | {shown} |")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

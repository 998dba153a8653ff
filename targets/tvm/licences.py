"""`LICENSES/` of an artefact: edgec's own licence, those of its libraries, and of what is linked into its programs."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

from edgec.targets.native.licence import install_licence
from edgec.targets.tvm.runtime_libs import LICENCES
from edgec.targets.tvm.zig import zig_file

LINKED = {
    "LICENSE.zig": "LICENSE",  # compiler-rt, zig's own
    "LICENSE.glibc": "lib/libc/glibc/LICENSES",  # the code that starts a program
    "LICENSE.libcxx": "lib/libcxx/LICENSE.TXT",
    "LICENSE.libcxxabi": "lib/libcxxabi/LICENSE.TXT",
    "LICENSE.libunwind": "lib/libunwind/LICENSE.TXT",
}
"""What zig links statically into programs and libraries: name in the artefact -> file of the `ziglang` package."""
STB = "LICENSE.stb"
"""Licence of the reader and writer of pictures in `edgec-detect`."""


def install_licences(runtime: Path, folder: Path, *, pictures: bool) -> None:
    """Write the licences of what an artefact contains into the new folder `folder`.

    Args:
        runtime: Folder of TVM's runtime libraries, with their licences.
        folder: The folder to write.
        pictures: Whether the artefact has `edgec-detect`.

    Raises:
        MissingDependency: `ziglang` or edgec is not installed completely.
    """
    install_licence(folder)
    for name in sorted(LICENCES.values()):
        if (runtime / name).is_file():
            shutil.copyfile(runtime / name, folder / name)
    for name, source in LINKED.items():
        shutil.copyfile(zig_file(source), folder / name)
    if pictures:
        (folder / STB).write_text(_licence_of_stb(), encoding="utf-8")


def _licence_of_stb() -> str:
    """Return the licence at the end of `stb_image.h`; that of `stb_image_write.h` is the same."""
    source = (resources.files("edgec.targets.native") / "stb_image.h").read_text(encoding="utf-8")
    title = "This software is available under 2 licenses"
    return title + source.rpartition(title)[2].rpartition("*/")[0]

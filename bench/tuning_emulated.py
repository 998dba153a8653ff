"""Tunes the demo detector for an ARM board that is TVM's own RPC server under qemu-user: the whole path, no board.

    python bench/tuning_emulated.py --root FOLDER [--trials N]

FOLDER gets an AArch64 Python and TVM's wheel for it, once. Needs qemu-user and libc6-arm64-cross, `dpkg
--add-architecture arm64; apt-get update` for Debian's Python, and `pip install 'edgec[tvm]'`. Times under emulation say
nothing about a board; that they are measured, and a database comes out that `edgec compile` takes, is what is shown.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from networks import network

import edgec
from edgec.targets.tvm.wheels import installed_versions

DEBS = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libexpat1", "zlib1g", "libssl3"),
    *("libffi8", "libbz2-1.0", "liblzma5", "libsqlite3-0", "libuuid1", "libcrypt1"),
)
PACKAGES = ("numpy", "cloudpickle", "psutil", "typing_extensions")
PLATFORMS = [f"--platform=manylinux_2_{minor}_aarch64" for minor in (28, 27, 17)]
WRAPPER = """\
#!/bin/sh
GNU=aarch64-linux-gnu
DEBIAN={root}/debian
exec qemu-aarch64 -cpu cortex-a72 -L /usr/$GNU \
-E LD_LIBRARY_PATH=$DEBIAN/usr/lib/$GNU:$DEBIAN/lib/$GNU:/usr/$GNU/lib \
-E PYTHONHOME=$DEBIAN/usr -E PYTHONPATH={root}/site $DEBIAN/usr/bin/python3.11 "$@"
"""
SERVER = """\
import runpy, sys
sys.executable = {python!r}
sys.argv = ["rpc_server", "--host", "127.0.0.1", "--tracker", "127.0.0.1:{port}", "--key", "rpi4"]
runpy.run_module("tvm.exec.rpc_server", run_name="__main__")
"""
"""What `python -m tvm.exec.rpc_server` does; it starts itself again, for which it must find the emulated Python."""
WAIT_S = 180


def install(root: Path) -> Path:
    """Return an AArch64 Python with TVM in `root`, made now if it is not there."""
    python = root / "python"
    if python.exists():
        return python
    root.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", *(f"{name}:arm64" for name in DEBS)], cwd=root, check=True)
    for package in root.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package.name, "debian"], cwd=root, check=True)
    wanted = [*installed_versions().requirements, *PACKAGES]
    kind = ["--only-binary=:all:", "--implementation=cp", "--python-version=3.11", *PLATFORMS]
    pip = [sys.executable, "-m", "pip", "install", "-q", "--target", str(root / "site"), "--no-compile"]
    subprocess.run([*pip, *kind, *wanted], check=True)
    python.write_text(WRAPPER.format(root=root))
    python.chmod(0o755)
    return python


def started(command: list[str]) -> tuple[subprocess.Popen[str], str]:
    """Start a process group; return it and the first line it prints."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, bufsize=1
    )
    assert process.stdout is not None
    return process, process.stdout.readline()


def main() -> None:
    """Tune, compile with the result, and compare the artefact with ONNX Runtime."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=3)
    options = parser.parse_args()
    python = install(options.root.resolve())
    cli = [sys.executable, "-c", "from edgec.cli import main; main()"]
    os.environ["PYTHONUNBUFFERED"] = "1"
    processes = []
    try:
        tracker, line = started([*cli, "tune", "--serve", "--host", "127.0.0.1"])
        processes.append(tracker)
        port = int(line.partition("port ")[2].partition(";")[0])
        board, _ = started([str(python), "-c", SERVER.format(python=str(python), port=port)])
        processes.append(board)
        database, model = options.root / "tune.db", network("detector")
        database.unlink(missing_ok=True)
        begin = time.monotonic()
        while True:
            try:
                done = edgec.tune(
                    model,
                    target="rpi4",
                    database=database,
                    tracker=f"127.0.0.1:{port}",
                    trials=options.trials,
                    threads=1,
                    watch=lambda seen: print(f"{seen.stage}: {seen.trials} trials, {seen.ratio:.3f}", flush=True),
                )
                break
            except edgec.EdgecError as error:
                if "no board is registered" not in str(error) or time.monotonic() - begin > WAIT_S:
                    raise
                time.sleep(1)  # the emulated server takes its time to start
        print(f"{done.seconds * 1e3:.1f} ms untuned, {done.seconds * done.ratio * 1e3:.1f} ms tuned, {done.lost} lost")
        artefact = edgec.compile(model, target="rpi4", output=options.root / "artefact", threads=1, tuned=database)
        print(f"{len(artefact.manifest.runtime['tuned'])} tuned layers, error {artefact.verify().worst:.1e}")
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    main()

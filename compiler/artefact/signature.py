"""Signatures of artefacts, by OpenSSH: they prove who compiled an artefact, and that nothing has changed since."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from edgec.artefact.files import SIGNATURE, SUMS
from edgec.errors import BadArtefact, BadOption, MissingDependency

PROGRAM = "ssh-keygen"
NAMESPACE = "edgec"
"""Namespace of the signatures: what these keys signed for other purposes is not accepted."""


def check_key(key: Path) -> None:
    """Raise an error, before any long work, for a key that cannot sign.

    Raises:
        BadOption: There is no such file.
        MissingDependency: OpenSSH is missing.
    """
    _program()
    if not key.is_file():
        raise BadOption(f"--sign {key}: no such file", remedy="Give a key of ssh-keygen, e.g. ~/.ssh/id_ed25519.")


def sign(folder: Path, key: Path) -> None:
    """Sign the artefact in `folder` with `key`; for a public key, the SSH agent must hold the private one.

    Raises:
        BadOption: The key cannot be used.
        MissingDependency: OpenSSH is missing.
    """
    sums = folder / SUMS
    # In the foreground, because it may ask for the key's passphrase.
    command = [_program(), "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(sums)]
    done = subprocess.run(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, check=False)
    if done.returncode != 0 or not (folder / SIGNATURE).is_file():
        remedy = "Give a private key, or a public one whose private key the SSH agent holds."
        raise BadOption(f"--sign {key}: {_last(done.stderr)}", remedy=remedy)


def check_signature(folder: Path, signers: Path) -> str:
    """Return the name among `signers` that signed the artefact in `folder`, whose files `read_manifest` checks.

    Args:
        folder: The artefact.
        signers: File with one name and public key per line, see ALLOWED SIGNERS in ssh-keygen(1).

    Raises:
        BadArtefact: It is not signed, was altered since, or was signed by none of them.
        BadOption: There is no such file.
        MissingDependency: OpenSSH is missing.
    """
    if not signers.is_file():
        raise BadOption(f"--signers {signers}: no such file", remedy="Give a file with a name and public key per line.")
    if not (folder / SIGNATURE).is_file():
        raise BadArtefact(f"{folder} is not signed", remedy="Compile with --sign, or do not ask for a signature.")
    files = ["-s", str(folder / SIGNATURE), "-f", str(signers)]
    found = subprocess.run(
        [_program(), "-Y", "find-principals", *files], capture_output=True, text=True, errors="replace", check=False
    )
    who = found.stdout.strip().split("\n")[0].split(",")[0]
    remedy = "Do not use it, or add the name that signed it to the signers."
    if found.returncode != 0 or not who:
        raise BadArtefact(f"{folder} was signed by none of the names in {signers}", remedy=remedy)
    with (folder / SUMS).open("rb") as content:
        done = subprocess.run(
            [_program(), "-Y", "verify", *files, "-I", who, "-n", NAMESPACE],
            stdin=content,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    if done.returncode != 0:
        problem = f"{folder}: {SIGNATURE} is not a signature of this artefact by {who}: {_last(done.stderr)}"
        raise BadArtefact(problem, remedy=remedy)
    return who


def _program() -> str:
    found = shutil.which(PROGRAM)
    if found is None:
        raise MissingDependency("signatures need ssh-keygen", remedy="sudo apt-get install openssh-client")
    return found


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]

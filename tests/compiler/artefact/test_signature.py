"""Who signed an artefact is told by OpenSSH; nothing of what was signed can be altered."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import edgec
from edgec.artefact.files import SIGNATURE, SUMS, write_sums
from edgec.artefact.signature import check_signature
from edgec.errors import BadArtefact, BadOption
from tests.compiler.artefact.test_artefact import BOARD, MODEL

if shutil.which("ssh-keygen") is None:
    pytest.skip("no ssh-keygen here: apt-get install openssh-client", allow_module_level=True)


def make_key(folder: Path, name: str) -> Path:
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path, "-C", name], check=True)
    return path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two keys and the public one of the first among `signers`."""
    folder = tmp_path_factory.mktemp("keys")
    ours, _ = make_key(folder, "ours"), make_key(folder, "other")
    (folder / "signers").write_text(f"us@example.org {ours.with_suffix('.pub').read_text()}")
    return folder


def compiled(folder: Path, key: Path | None) -> Path:
    return edgec.compile(MODEL, target=BOARD, output=folder, sign=key).folder


def test_a_signed_artefact_is_told_by_its_signer(keys: Path, tmp_path: Path) -> None:
    folder = compiled(tmp_path / "a", keys / "ours")
    assert check_signature(folder, keys / "signers") == "us@example.org"
    assert edgec.Artefact.open(folder, signers=keys / "signers").verify().ok
    with edgec.load(folder, signers=keys / "signers") as runner:
        assert runner.outputs
    assert "sign" not in edgec.Artefact.open(folder).manifest.options.model_dump()


def test_others_and_nobody_are_refused(keys: Path, tmp_path: Path) -> None:
    with pytest.raises(BadArtefact, match="is not signed"):
        edgec.Artefact.open(compiled(tmp_path / "unsigned", None), signers=keys / "signers")
    with pytest.raises(BadArtefact, match=r"was signed by none of the names in .*signers"):
        edgec.Artefact.open(compiled(tmp_path / "others", keys / "other"), signers=keys / "signers")


@pytest.mark.parametrize("name", [SUMS, SIGNATURE, "manifest.json", "model.onnx"])
def test_what_was_altered_since_is_refused(keys: Path, tmp_path: Path, name: str) -> None:
    folder = compiled(tmp_path / "a", keys / "ours")
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-30] + bytes([content[-30] ^ 1]) + content[-29:])
    with pytest.raises(BadArtefact):
        edgec.Artefact.open(folder, signers=keys / "signers")


def test_hashes_made_to_fit_are_not_what_was_signed(keys: Path, tmp_path: Path) -> None:
    folder = compiled(tmp_path / "a", keys / "ours")
    write_sums(folder, edgec.Artefact.open(folder).manifest.files[1:])
    with pytest.raises(BadArtefact, match=r"is not a signature of this artefact by us@example\.org"):
        check_signature(folder, keys / "signers")


def test_a_signature_for_another_purpose_is_none(keys: Path, tmp_path: Path) -> None:
    folder = compiled(tmp_path / "a", None)
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", keys / "ours", "-n", "file", folder / SUMS], check=True, stderr=-3
    )
    with pytest.raises(BadArtefact, match=r"is not a signature of this artefact by us@example\.org"):
        check_signature(folder, keys / "signers")


def test_a_key_that_is_none_is_refused_before_the_work(keys: Path, tmp_path: Path) -> None:
    stages: list[object] = []
    with pytest.raises(BadOption, match=r"--sign .*missing: no such file"):
        edgec.compile(MODEL, target=BOARD, output=tmp_path / "a", sign=tmp_path / "missing", progress=stages.append)
    assert stages == []
    (tmp_path / "broken").write_text("no key")
    with pytest.raises(BadOption, match=r"--sign .*broken: "):
        compiled(tmp_path / "a", tmp_path / "broken")
    assert not (tmp_path / "a").exists()
    with pytest.raises(BadOption, match=r"--signers .*: no such file"):
        edgec.Artefact.open(compiled(tmp_path / "b", None), signers=tmp_path / "nobody")

"""Checks by SHA256SUMS that the artefact's files are as they were compiled."""

import os
import re

from .facts import hash_file
from .failure import Failure
from .settings import COPY_AGAIN, inside

SUMS, MANIFEST = "SHA256SUMS", "manifest.json"


def check_files(folder: str) -> None:
    """Compare each file that SHA256SUMS lists, including the manifest, with its hash.

    Raises:
        Failure: A file is missing or altered, or there is no usable list.
    """
    path = os.path.join(folder, SUMS)
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise Failure("{}: {}. {}".format(path, error.strerror, COPY_AGAIN)) from error
    except ValueError as error:
        raise Failure("{} is damaged: {}. {}".format(path, error, COPY_AGAIN)) from error
    if not all(re.match("[0-9a-f]{64}  .", line) for line in lines):
        raise Failure("{} is damaged. {}".format(path, COPY_AGAIN))
    sums = {line[66:]: line[:64] for line in lines}
    if MANIFEST not in sums:
        raise Failure("{} is damaged: it does not list {}. {}".format(path, MANIFEST, COPY_AGAIN))
    for name, digest in sums.items():
        found = inside(folder, name)
        if hash_file(found) != digest:
            raise Failure("{} was altered or copied incompletely. {}".format(found, COPY_AGAIN))

"""`Application`: the meaning of an artefact's outputs, stored in the manifest."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from edgec import registry
from edgec.data.decoders.base import Decoder
from edgec.data.decoders.read import make_decoder
from edgec.errors import BadOption


class Application(BaseModel):
    """The decoder of a network's outputs, with the names of its classes; it needs no other file.

    Attributes:
        decoder: Registered name of the decoder.
        settings: Settings that were given or found, including the class names; all others have the decoder's defaults.
        assumed: How the head was recognised, and what was assumed, in sentences. Empty if the user gave
            the decoder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    decoder: str
    settings: dict[str, Any] = {}
    assumed: tuple[str, ...] = ()

    def open(self) -> Decoder:
        """Return the decoder.

        Raises:
            BadOption: The decoder is not registered here, or its settings are wrong.
        """
        if self.decoder not in registry.names("decoders"):
            problem = f"the artefact's decoder {self.decoder!r} is not installed here"
            raise BadOption(problem, remedy="Install the package that provides it, or give one by --decoder.")
        return make_decoder(self.decoder, self.settings, f"decoder {self.decoder} of the artefact")


def application_of(name: str, decoder: Decoder, assumed: tuple[str, ...] = ()) -> Application:
    """Return the record of the decoder with this name."""
    return Application(decoder=name, settings=decoder.self_contained(), assumed=assumed)

"""Decoders: from the bytes of a payload to readings, one file a format."""

from penstock.decode.formats import Decoder, make_decoder, make_decoders

__all__ = ["Decoder", "make_decoder", "make_decoders"]

"""ASDF files without their data: the tree, and the positions of its arrays in the file.

Only the tree is read by the package asdf. Arrays are left where they are, so that exposures
larger than memory can be opened; a compressed block is unpacked, piece by piece, into a temporary
file. No data models are needed: tags that nobody knows do not matter.
Reference: Greenfield et al. 2015, Astronomy and Computing 12, 240.
"""

from __future__ import annotations

import bz2
import math
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ohana.errors import OhanaError
from ohana.ramp import Planes
from ohana.read.unpack import COPY_BYTES, Scratch, unpack

#: ASDF block: magic bytes, size of the header that follows, and the header.
BLOCK_MAGIC = b"\xd3BLK"
SIZE, HEADER = struct.Struct(">H"), struct.Struct(">I4sQQQ16s")
STREAMED = 1


class Block(NamedTuple):
    """One binary block: compression ("" for none), offset and size of the stored data [byte]."""

    compression: str
    start: int
    stored: int


def load_tree(path: Path) -> dict[str, Any]:
    """Return the tree of an ASDF file; arrays are mappings that name their block.

    Raises
    ------
    OhanaError
        If asdf is not installed, or the file is damaged.
    """
    try:
        from asdf.util import load_yaml
    except ImportError as error:
        raise OhanaError(f"{path}: needs asdf: pip install 'ohana[roman]'") from error
    try:
        tree = load_yaml(path, tagged=True)
    except OSError:
        raise
    except Exception as error:  # what a damaged tree raises depends on where it is damaged
        raise OhanaError(f"{path}: damaged or truncated ASDF file: {error}") from error
    if not isinstance(tree, Mapping):
        raise OhanaError(f"{path}: damaged or truncated ASDF file: it has no tree")
    return dict(tree)


def find(tree: Any, name: str) -> Any:
    """Return the node with a dotted name such as ``roman.meta.exposure``, None if absent."""
    for key in name.split("."):
        if not isinstance(tree, Mapping) or key not in tree:
            return None
        tree = tree[key]
    return tree


def is_array(node: Any) -> bool:
    """Return whether a node of a tree is an array in a block of the file."""
    return isinstance(node, Mapping) and {"source", "shape", "datatype"} <= set(node)


def planes_of(path: Path, node: Mapping[str, Any], name: str) -> tuple[Planes, Scratch | None]:
    """Return all two-dimensional images of an array, in their order.

    Parameters
    ----------
    path : Path
        The file.
    node : mapping
        The array in the tree; it has two dimensions at least.
    name : str
        What it is called, for errors.

    Raises
    ------
    OhanaError
        If the array is not there, is not in C order, or is compressed in an unknown way.
    """
    *lead, height, width = (int(size) for size in node["shape"])
    dtype = _type(path, node, name)
    size = height * width * dtype.itemsize
    if node.get("strides") not in (None, _strides(node["shape"], dtype.itemsize)):
        raise OhanaError(f"{path}: {name}: wanted an array in C order, got another order")
    block, begin, total = _block(path, node, name), int(node.get("offset", 0)), math.prod(lead)
    end, there, scratch = begin + total * size, block.stored, None
    held, start = path, block.start
    if block.compression:
        held, scratch = unpack(_unpacked(path, block), path, name)
        there, start = held.stat().st_size, 0
    if end > there:
        raise OhanaError(f"{path}: truncated: {name} ends at byte {end} of {there} in its block")
    offsets = start + begin + size * np.arange(total, dtype=np.int64)
    return Planes(held, offsets, (height, width), dtype), scratch


def _type(path: Path, node: Mapping[str, Any], name: str) -> np.dtype:
    try:
        dtype = np.dtype(str(node["datatype"]))
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind not in "iuf":
        raise OhanaError(f"{path}: {name}: wanted real numbers, got {node['datatype']}")
    return dtype.newbyteorder("<" if node.get("byteorder", "little") == "little" else ">")


def _strides(shape: list[Any], itemsize: int) -> list[int]:
    sizes = [int(size) for size in shape[1:]]
    return [itemsize * math.prod(sizes[axis:]) for axis in range(len(shape))]


def _block(path: Path, node: Mapping[str, Any], name: str) -> Block:
    """Return the block of an array."""
    try:
        number = int(node["source"])
    except (TypeError, ValueError):
        raise OhanaError(
            f"{path}: {name}: wanted its data in this file, got {node['source']!r}"
        ) from None
    size = path.stat().st_size
    with open(path, "rb") as file:
        for index, block in enumerate(_blocks(file, size)):
            if index < number:
                continue
            if block.start + block.stored > size:
                break
            return block
    raise OhanaError(f"{path}: truncated: block {number} with {name} is not all there")


def _blocks(file: BinaryIO, size: int) -> Iterator[Block]:
    """Yield the blocks of a file, in their order."""
    place = _first_block(file)
    while place < size:
        file.seek(place)
        head = file.read(len(BLOCK_MAGIC) + SIZE.size + HEADER.size)
        if not head.startswith(BLOCK_MAGIC) or len(head) < len(BLOCK_MAGIC) + 2 + HEADER.size:
            return
        (length,) = SIZE.unpack_from(head, len(BLOCK_MAGIC))
        flags, code, room, used, *_ = HEADER.unpack_from(head, len(BLOCK_MAGIC) + SIZE.size)
        start = place + len(BLOCK_MAGIC) + SIZE.size + length
        if flags & STREAMED:
            used = room = size - start
        yield Block(code.rstrip(b"\0").decode("ascii", "replace"), start, used)
        place = start + room


def _first_block(file: BinaryIO) -> int:
    """Return the offset of the first block, after the end of the tree [byte]."""
    before, place = b"", 0
    while piece := file.read(COPY_BYTES):
        text = before + piece
        for end in (b"\n...\n", b"\n...\r\n"):
            if (found := text.find(end + BLOCK_MAGIC)) >= 0:
                return place - len(before) + found + len(end)
        before, place = text[-16:], place + len(piece)
    # There may be padding between the tree and the first block.
    file.seek(0)
    text = file.read(COPY_BYTES)
    found = text.find(BLOCK_MAGIC, max(text.find(b"\n..."), 0))
    return found if found >= 0 else place


def _unpacked(path: Path, block: Block) -> Iterator[bytes]:
    """Yield the decompressed data of a block, piece by piece."""
    pieces: dict[str, Callable[[BinaryIO, int], Iterator[bytes]]]
    pieces = {"zlib": _zlib, "bzp2": _bzip2, "lz4": _lz4}
    if block.compression not in pieces:
        raise OhanaError(
            f"{path}: wanted a block without compression, or by {', '.join(pieces)}; "
            f"got {block.compression!r}"
        )
    try:
        with open(path, "rb") as file:
            file.seek(block.start)
            yield from pieces[block.compression](file, block.stored)
    except ImportError as error:
        raise OhanaError(f"{path}: needs lz4: pip install 'ohana[roman]'") from error
    except Exception as error:  # each compression has errors of its own
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise OhanaError(f"{path}: damaged or truncated ASDF block: {error}") from error


def _stored(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size and (piece := file.read(min(size, COPY_BYTES))):
        size -= len(piece)
        yield piece


def _zlib(file: BinaryIO, size: int) -> Iterator[bytes]:
    packed = zlib.decompressobj()
    for piece in _stored(file, size):
        yield packed.decompress(piece)
    yield packed.flush()


def _bzip2(file: BinaryIO, size: int) -> Iterator[bytes]:
    packed = bz2.BZ2Decompressor()
    for piece in _stored(file, size):
        yield packed.decompress(piece)


def _lz4(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Unpack the pieces, each behind its length."""
    from lz4.block import decompress

    end = file.tell() + size
    while file.tell() < end:
        (length,) = struct.unpack(">I", file.read(4))
        yield decompress(file.read(length))

#!/usr/bin/env python3
"""Writes tests/golden/dequant.gguf: blocks of every tensor type and what they decode to.

For each type T the file holds a tensor "T" of random blocks and a float32 tensor "T.f32" with the
same weights as the `gguf` package decodes them. Needs numpy and gguf 0.19 (PyPI).

    tools/reference/make_dequant_golden.py [OUT]
"""

import sys
from importlib.metadata import version
from pathlib import Path

import gguf
import numpy as np

SEED = 20240607
TYPES = ("F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS").split()
# Where the float16 fields of a block lie. Left random, one in 32 would be infinite or NaN, and
# their products depend on the processor; all their finite values are kept.
HALF_FIELDS = {
    "F16": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ4_NL": [0], "IQ4_XS": [0],
}


def random_blocks(rng, name, n_blocks):
    """[n_blocks, block bytes] of random bytes whose scales are finite."""
    _, block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    blocks = rng.integers(0, 256, (n_blocks, block_bytes), dtype=np.uint8)
    for offset in HALF_FIELDS.get(name, []):
        high = blocks[:, offset + 1]  # sign, five bits of exponent, two of mantissa
        high[(high & 0x7C) == 0x7C] ^= 0x40
    if name in ("F32", "BF16"):
        high, low = blocks[:, -1], blocks[:, -2]
        low[((high & 0x7F) == 0x7F) & (low >= 0x80)] ^= 0x80
    return blocks


def main(out):
    rng = np.random.default_rng(SEED)
    writer = gguf.GGUFWriter(str(out), "none")
    writer.add_uint32("golden.seed", SEED)
    writer.add_string("golden.oracle", "gguf.quants.dequantize of gguf " + version("gguf"))
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        elems, _ = gguf.GGML_QUANT_SIZES[kind]
        n_blocks = 1024 // elems  # four blocks of a K type
        blocks = random_blocks(rng, name, n_blocks).reshape(1, -1)
        weights = gguf.quants.dequantize(blocks, kind).astype(np.float32)
        assert np.isfinite(weights).all(), name
        writer.add_tensor(name, blocks, raw_dtype=kind)
        writer.add_tensor(name + ".f32", weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    here = Path(__file__).resolve().parents[2]
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else here / "tests/golden/dequant.gguf")

#!/usr/bin/env python3
"""Writes tests/golden/random_models.json: logits of the tests' random models in numpy.

  make_random_model_golden.py build/tests/support/make_random_models > tests/golden/random_models.json

Needs the packages numpy and gguf. Takes seconds.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from forward import Model

SEED = 20240612
N_TOKENS = 48
POSITIONS = [19, 47]


def main():
    here = pathlib.Path(__file__).parent
    commit = subprocess.run(["git", "-C", here, "rev-parse", "HEAD"], check=True, text=True,
                            capture_output=True).stdout.strip()
    rng = np.random.default_rng(SEED)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        names = subprocess.run([sys.argv[1], folder], check=True, text=True,
                               capture_output=True).stdout.split()
        for name in names:
            model = Model(f"{folder}/{name}.gguf")
            tokens = [int(x) for x in rng.integers(model.n_vocab, size=N_TOKENS)]
            logits = model.forward(tokens)
            print(f"{name}: logits of standard deviation {logits.std():.2f}", file=sys.stderr)
            rows = [[round(float(x), 5) for x in logits[p]] for p in POSITIONS]
            lines.append(json.dumps({"name": name, "tokens": tokens, "logits": rows}))
    print('{"made_by": "tools/reference/make_random_model_golden.py",')
    print(f'"commit": "{commit}",\n"seed": {SEED},\n"positions": {POSITIONS},\n"models": [')
    print(",\n".join(lines) + "\n]}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes tests/golden/default_model.json: what the numpy forward pass makes of ten prompts.

  make_default_model_golden.py MODEL.gguf > tests/golden/default_model.json

Needs the packages numpy, gguf and tokenizers. Takes a minute.
"""

import hashlib
import json
import pathlib
import subprocess
import sys

import gguf
import numpy as np
import tokenizers

from forward import Model

SEED = 20240611
N_GREEDY = 64

LONG = """\
The harbour master kept three books. In the first he wrote the ships that came, in the second \
the ships that left, and in the third the ships that were expected and did neither. The third \
book was the thickest. On winter evenings he read it aloud to his daughter, who knew most of it \
by heart: the Margaret, forty days from Lisbon with cork and oranges; the Two Brothers, which \
had only to cross the bay; the Hope, and the second Hope, named after the first. When a ship \
from the third book was sighted after all, he struck it out with a ruler, carefully, and opened \
a bottle. This had happened four times in twenty years. The daughter remembered each of them, \
and what she had been wearing, and how quiet he had been for days afterwards, as though"""

PROMPTS = [
    "The capital of France is",
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    "Write a haiku about rain.<|im_end|>\n<|im_start|>assistant\n",
    "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
    "1, 1, 2, 3, 5, 8, 13, 21, 34, 55,",
    "Once upon a time, in a small village by the sea, there was a lighthouse",
    "Le chat est assis sur la table et regarde",
    "Q: A train travels 60 km in 45 minutes. What is its average speed in km/h?\nA:",
    "\u6771\u4eac\u306f\u65e5\u672c\u306e\u9996\u90fd\u3067\u3059\u3002 \U0001f600 \u00fcber caf\u00e9",
    "Ingredients:\n- 2 eggs\n- 200 g flour\n- 1/2 l milk\n\nMethod:\n1.",
    LONG,
]


def tokenizer_of(path):
    """The model's byte-level BPE, pre-tokenised as `smollm`, built from its GGUF metadata."""
    fields = gguf.GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"
    vocab = {t: i for i, t in enumerate(tokens)}
    tok = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=merges))
    tok.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([
        tokenizers.pre_tokenizers.Digits(individual_digits=True),
        tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    control = gguf.TokenType.CONTROL
    tok.add_special_tokens([t for t, kind in zip(tokens, types) if kind == control])
    return tok


def golden_of(model, text, tokens, rng):
    greedy, lead = model.greedy(tokens, N_GREEDY)
    model.reset()
    last = model.forward(tokens)[-1]
    ids = [int(x) for x in np.argsort(-last)[:50]]
    ids += [int(x) for x in rng.choice(len(last), 50, replace=False)]
    return {
        "text": text,
        "tokens": tokens,
        "greedy": greedy,
        "smallest_lead": round(lead, 6),
        "logit_ids": ids,
        "logits": [round(float(last[i]), 6) for i in ids],
        "mean_logit": round(float(last.mean(dtype=np.float64)), 6),
    }


def main():
    path = sys.argv[1]
    tokenizer, model = tokenizer_of(path), Model(path)
    rng = np.random.default_rng(SEED)
    here = pathlib.Path(__file__).parent
    commit = subprocess.run(["git", "-C", here, "rev-parse", "HEAD"], check=True, text=True,
                            capture_output=True).stdout.strip()
    prompts = []
    for text in PROMPTS:
        prompts.append(golden_of(model, text, tokenizer.encode(text).ids, rng))
        print(len(prompts[-1]["tokens"]), prompts[-1]["smallest_lead"], file=sys.stderr)
    head = {
        "made_by": "tools/reference/make_default_model_golden.py",
        "commit": commit,
        "seed": SEED,
        "model_sha256": hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest(),
    }
    lines = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in head.items()]
    body = ",\n".join(json.dumps(p) for p in prompts)
    print("{" + ",\n".join(lines) + ',\n"prompts": [\n' + body + "\n]}")


if __name__ == "__main__":
    main()

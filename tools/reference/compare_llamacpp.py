#!/usr/bin/env python3
"""How far llama.cpp's predictions are from those of the numpy forward pass, on one text.

  compare_llamacpp.py MODEL.gguf TEXT.txt [--tokens N] [--window N] [--threads N]
                      > tests/golden/llamacpp_divergence.json

Both see the same windows, each begun with an empty cache; every position counts, and a token is
scored where its window has a token before it (as runtime/backend/evaluate.hpp does for llmos).
Nothing but one window's logits is kept. Writes sums per window, prints the means to stderr.
Needs the packages numpy, gguf and llama-cpp-python; 20,000 tokens take minutes.
"""

import argparse
import hashlib
import json
import math
import pathlib
import sys

import llama_cpp
import numpy as np

from forward import Model


class LlamaCpp:
    """llama.cpp with its defaults; logits of whole windows."""

    def __init__(self, path, window, n_threads):
        self.model = llama_cpp.llama_model_load_from_file(
            path.encode(), llama_cpp.llama_model_default_params())
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = window
        params.n_threads = params.n_threads_batch = n_threads
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.n_vocab = llama_cpp.llama_vocab_n_tokens(self.vocab)
        self.batch = llama_cpp.llama_batch_init(window, 0, 1)

    def tokenize(self, text):
        ids = (llama_cpp.llama_token * (len(text) + 1))()
        n = llama_cpp.llama_tokenize(self.vocab, text, len(text), ids, len(ids), False, False)
        assert n >= 0
        return list(ids[:n])

    def forward(self, tokens):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)
        self.batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            self.batch.token[i] = token
            self.batch.pos[i] = i
            self.batch.n_seq_id[i] = 1
            self.batch.seq_id[i][0] = 0
            self.batch.logits[i] = 1
        assert llama_cpp.llama_decode(self.context, self.batch) == 0
        flat = np.ctypeslib.as_array(llama_cpp.llama_get_logits(self.context),
                                     shape=(len(tokens) * self.n_vocab,))
        return flat.reshape(len(tokens), self.n_vocab)


def log_softmax(x):
    x = x.astype(np.float64)
    x -= x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def measure(base, other, tokens):
    """Sums over one window."""
    p, q = log_softmax(base), log_softmax(other)
    following = np.asarray(tokens[1:])
    rows = np.arange(len(following))
    return {
        "positions": len(tokens),
        "same_top": int((base.argmax(-1) == other.argmax(-1)).sum()),
        "kl": float((np.exp(p) * (p - q)).sum()),
        "scored": len(following),
        "nll_base": float(-p[rows, following].sum()),
        "nll_other": float(-q[rows, following].sum()),
    }


def report(windows):
    total = {key: sum(w[key] for w in windows) for key in windows[0]}
    base = math.exp(total["nll_base"] / total["scored"])
    other = math.exp(total["nll_other"] / total["scored"])
    print(f"{total['positions']} positions: mean KL {total['kl'] / total['positions']:.4e}, "
          f"perplexity {base:.4f} -> {other:.4f} ({100 * (other / base - 1):+.3f} %), "
          f"same top token {100 * total['same_top'] / total['positions']:.2f} %",
          file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--tokens", type=int, help="only the first N")
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    peer = LlamaCpp(args.model, args.window, args.threads)
    tokens = peer.tokenize(pathlib.Path(args.text).read_bytes())[:args.tokens]
    model = Model(args.model)
    windows = []
    for at in range(0, len(tokens), args.window):
        chunk = tokens[at:at + args.window]
        model.reset()
        windows.append(measure(model.forward(chunk), peer.forward(chunk), chunk))
        report(windows)
    head = {
        "made_by": "tools/reference/compare_llamacpp.py",
        "llama_cpp_python": llama_cpp.__version__,
        "model_sha256": hashlib.sha256(pathlib.Path(args.model).read_bytes()).hexdigest(),
        "text": args.text,
        "window_tokens": args.window,
    }
    lines = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in head.items()]
    body = ",\n".join(json.dumps(w) for w in windows)
    print("{" + ",\n".join(lines) + ',\n"windows": [\n' + body + "\n]}")


if __name__ == "__main__":
    main()

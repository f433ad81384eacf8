#!/usr/bin/env python3
"""Forward pass of llama, qwen2 and qwen3 GGUF models in numpy: float32, dequantised weights.

An independent statement of what the C++ backends compute; the goldens come from here.
Needs the packages numpy and gguf.

  forward.py MODEL.gguf --tokens 1,2,3 [--greedy N] [--out FILE.npy]

prints the greedy continuation, or writes the float32 logits [n_tokens, n_vocab].
"""

import argparse
import math

import gguf
import numpy as np

F32 = np.float32


class Metadata:
    """The keys of a GGUF file; `arch("x")` reads "{architecture}.x"."""

    def __init__(self, reader):
        self.fields = reader.fields
        self.architecture = self.get("general.architecture")

    def get(self, key, default=None):
        return self.fields[key].contents() if key in self.fields else default

    def arch(self, suffix, default=None):
        return self.get(f"{self.architecture}.{suffix}", default)


def yarn_divisors(rope_dim, base, factor, original_context, beta_fast, beta_slow):
    def pair_that_turns(turns):
        return rope_dim * math.log(original_context / (turns * 2 * math.pi)) / (2 * math.log(base))

    low = max(0, math.floor(pair_that_turns(beta_fast)))
    high = min(rope_dim - 1, math.ceil(pair_that_turns(beta_slow)))
    ramp = np.clip((np.arange(rope_dim // 2) - low) / max(0.001, high - low), 0, 1)
    return 1 / ((1 - ramp) + ramp / factor)


def rms_norm(x, weight, eps):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + F32(eps)) * weight


class Model:
    """One model and the K and V of one sequence."""

    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        meta = Metadata(reader)
        self.w = {
            t.name: np.ascontiguousarray(
                gguf.quants.dequantize(t.data, t.tensor_type).astype(F32))
            for t in reader.tensors
        }
        self.interleaved = {"llama": True, "qwen2": False, "qwen3": False}[meta.architecture]
        self.n_layers = meta.arch("block_count")
        self.n_heads = meta.arch("attention.head_count")
        self.n_kv_heads = meta.arch("attention.head_count_kv", self.n_heads)
        usual = meta.arch("embedding_length") // self.n_heads
        self.head_dim = meta.arch("attention.key_length", usual)
        self.eps = meta.arch("attention.layer_norm_rms_epsilon")
        self.n_vocab = self.w["token_embd.weight"].shape[0]
        self.inverse_frequency, self.rope_gain = self._rope(meta)
        self.reset()

    def _rope(self, meta):
        """Angle per position of every pair [rope_dim / 2], and the gain of cos and sin."""
        dim = meta.arch("rope.dimension_count", self.head_dim)
        base = meta.arch("rope.freq_base", 10000.0)
        frequency = float(base) ** (-2.0 * np.arange(dim // 2) / dim)
        if "rope_freqs.weight" in self.w:
            frequency = frequency / self.w["rope_freqs.weight"]
        kind = meta.arch("rope.scaling.type", "linear")
        factor = meta.arch("rope.scaling.factor", meta.arch("rope.scale_linear", 1.0))
        if kind == "none":
            return frequency, 1.0
        if kind == "linear":
            return frequency / factor, 1.0
        assert kind == "yarn", kind
        divisors = yarn_divisors(
            dim, base, factor,
            meta.arch("rope.scaling.original_context_length", meta.arch("context_length")),
            meta.arch("rope.scaling.yarn_beta_fast", 32.0),
            meta.arch("rope.scaling.yarn_beta_slow", 1.0))
        gain = meta.arch("rope.scaling.attn_factor", 1.0) * (1 + 0.1 * math.log(max(1, factor)))
        return frequency / divisors, gain

    def reset(self):
        """Forgets the sequence."""
        self.keys = [None] * self.n_layers
        self.values = [None] * self.n_layers
        self.n_past = 0

    def _rotate(self, x):
        """x [n, heads, head_dim] at positions n_past onwards."""
        angle = np.outer(np.arange(self.n_past, self.n_past + len(x)), self.inverse_frequency)
        cos = (np.cos(angle) * self.rope_gain).astype(F32)[:, None, :]
        sin = (np.sin(angle) * self.rope_gain).astype(F32)[:, None, :]
        n = cos.shape[-1]
        first, second = (
            (slice(0, 2 * n, 2), slice(1, 2 * n, 2)) if self.interleaved
            else (slice(0, n), slice(n, 2 * n)))
        a, b = x[..., first], x[..., second]
        out = x.copy()
        out[..., first] = a * cos - b * sin
        out[..., second] = a * sin + b * cos
        return out

    def _linear(self, x, name):
        y = x @ self.w[name + ".weight"].T
        return y + self.w[name + ".bias"] if name + ".bias" in self.w else y

    def _heads(self, x, layer, name, n_heads):
        y = self._linear(x, f"blk.{layer}.attn_{name}").reshape(len(x), n_heads, self.head_dim)
        norm = self.w.get(f"blk.{layer}.attn_{name}_norm.weight")
        return y if norm is None else rms_norm(y, norm, self.eps)

    def _attention(self, x, layer):
        n = len(x)
        q = self._rotate(self._heads(x, layer, "q", self.n_heads))
        k = self._rotate(self._heads(x, layer, "k", self.n_kv_heads))
        v = self._heads(x, layer, "v", self.n_kv_heads)
        if self.n_past > 0:
            k = np.concatenate([self.keys[layer], k])
            v = np.concatenate([self.values[layer], v])
        self.keys[layer], self.values[layer] = k, v
        group = self.n_heads // self.n_kv_heads
        hidden = np.arange(len(k))[None, :] > (self.n_past + np.arange(n))[:, None]
        out = np.empty((n, self.n_heads, self.head_dim), F32)
        for head in range(self.n_heads):
            scores = q[:, head] @ k[:, head // group].T / F32(math.sqrt(self.head_dim))
            scores[hidden] = -np.inf
            weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
            weights /= weights.sum(axis=-1, keepdims=True)
            out[:, head] = weights @ v[:, head // group]
        return self._linear(out.reshape(n, -1), f"blk.{layer}.attn_output")

    def _feed_forward(self, x, layer):
        gate = self._linear(x, f"blk.{layer}.ffn_gate")
        up = self._linear(x, f"blk.{layer}.ffn_up")
        return self._linear(gate / (1 + np.exp(-gate)) * up, f"blk.{layer}.ffn_down")

    def forward(self, tokens):
        """Continues the sequence by `tokens`; returns their logits [n, n_vocab]."""
        x = self.w["token_embd.weight"][np.asarray(tokens)]
        for layer in range(self.n_layers):
            norm = self.w[f"blk.{layer}.attn_norm.weight"]
            x = x + self._attention(rms_norm(x, norm, self.eps), layer)
            norm = self.w[f"blk.{layer}.ffn_norm.weight"]
            x = x + self._feed_forward(rms_norm(x, norm, self.eps), layer)
        self.n_past += len(tokens)
        x = rms_norm(x, self.w["output_norm.weight"], self.eps)
        head = self.w.get("output.weight", self.w["token_embd.weight"])
        return x @ head.T

    def greedy(self, tokens, n):
        """The `n` most likely tokens after `tokens`, and the smallest lead of a winner."""
        self.reset()
        logits = self.forward(tokens)[-1]
        out, lead = [], math.inf
        for _ in range(n):
            second, first = np.partition(logits, -2)[-2:]
            lead = min(lead, float(first - second))
            out.append(int(np.argmax(logits)))
            logits = self.forward(out[-1:])[-1]
        return out, lead


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--tokens", required=True, help="ids separated by commas")
    parser.add_argument("--greedy", type=int, metavar="N", help="print N greedy tokens")
    parser.add_argument("--out", help="write the logits here (.npy)")
    args = parser.parse_args()
    tokens = [int(x) for x in args.tokens.split(",")]
    model = Model(args.model)
    if args.greedy:
        print(*model.greedy(tokens, args.greedy)[0])
    if args.out:
        model.reset()
        np.save(args.out, model.forward(tokens))


if __name__ == "__main__":
    main()

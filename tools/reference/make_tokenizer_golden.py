#!/usr/bin/env python3
"""Makes tests/golden/tokenizer: lines, two small vocabularies, and what llama.cpp makes of them.

    make_tokenizer_golden.py --model SMOLLM2.gguf [--train]

Needs the packages llama-cpp-python, tokenizers and gguf. The lines come from a seed
(tokenizer_lines.py). Ids are llama.cpp's; on well-formed lines the default model's must also be
those of the `tokenizers` package, and the script stops where the two disagree. --train makes the
small vocabularies anew, which changes every id in the goldens.

Files:
  lines.txt          one line per row; \\xHH stands for a byte that is no printable text, \\\\ for a
                     backslash
  default_model.txt  per line: hash of the ids without and with special tokens recognised;
                     default_model_ids.txt has the first ids themselves, to see what differs
  bpe.gguf, spm.gguf small vocabularies whose merges reach across every kind of boundary, so that
                     a pattern that splits at the wrong place shows
  patterns.txt       per name of tokenizer.ggml.pre: hashes of bpe.gguf's ids, 500 lines each
  spm.txt            per variant of spm.gguf: hashes of the ids, 500 lines each
A hash is 64-bit FNV-1a over the ids as little-endian 32-bit numbers, each line closed by -1.
"""

import argparse
import hashlib
import importlib.metadata
import itertools
import json
import pathlib
import struct
import tempfile

import gguf
import llama_cpp
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

import tokenizer_lines

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "tokenizer"
BLOCK = 500
TRAINING_SEED = 77

# Every name that llmos knows; llama.cpp must know them all.
NAMES = """default gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat a.x-4.0
mellum modern-bert jina-es jina-de jina-v2-es jina-v2-de smollm starcoder refact command-r
codeshell exaone minerva-7b mellum2 llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0
lfm2 jina-v5-nano dbrx smaug-bpe chatglm-bpe glm4 jais-2 qwen2 deepseek-r1-qwen stablelm2
hunyuan solar-open megrez grok-2 kormo f2llmv2 qwen35 minicpm5 seed-coder exaone-moe bailingmoe
bailingmoe2 llada-moe tekken gpt-4o llama4 kanana2 talkie minimax-m2 deepseek-llm deepseek-coder
deepseek-v3 hunyuan-dense joyai-llm hy_v4 falcon bloom poro-chat gpt3-finnish viking chameleon
ufakzeka laguna youtu spark2_5""".split()

# Tokens that no merge leads to: only patterns that try whole pieces first find them.
WHOLE_PIECES = ["tokenizer", " tokenizer", "HTTPServer", "你好世界", "2024", " ~~~", "\n\n\n\n\n",
                " κόσμε"]


SPECIAL_TOKENS = ["<|im_start|>", "<|im_end|>", "<user>", "<user><user>"]
SPECIAL_KINDS = [3, 3, 4, 4]  # control, user-defined


def fnv(ids, state=0xCBF29CE484222325):
    for byte in struct.pack(f"<{len(ids)}i", *ids):
        state = (state ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return state


def block_hashes(all_ids):
    """One hash for each BLOCK lines."""
    out = []
    for begin in range(0, len(all_ids), BLOCK):
        state = 0xCBF29CE484222325
        for ids in all_ids[begin:begin + BLOCK]:
            state = fnv([*ids, -1], state)
        out.append(f"{state:016x}")
    return out


def escape(line):
    """Printable UTF-8 as it is, everything else as \\xHH."""
    out = ""
    for part in line.decode("utf-8", "surrogateescape"):
        raw = part.encode("utf-8", "surrogateescape")
        plain = part.isprintable() and part != "\\"
        out += part if plain else "\\\\" if part == "\\" else "".join(f"\\x{b:02x}" for b in raw)
    return out


def is_valid(line):
    try:
        line.decode()
        return True
    except UnicodeDecodeError:
        return False


def byte_characters():
    """GPT-2's printable character for each byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = iter(range(0x100, 0x200))
    return [chr(b if b in printable else next(rest)) for b in range(256)]


def byte_level(text):
    table = byte_characters()
    return "".join(table[b] for b in text.encode())


class oracle:
    """llama.cpp with the vocabulary of one file."""

    def __init__(self, path):
        self.model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)

    def ids(self, line, special=False):
        return self.model.tokenize(line, add_bos=False, special=special)


def package_tokenizer(path):
    """The default model's vocabulary in the `tokenizers` package, as its tokenizer.json has it."""
    fields = gguf.GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(m.split(" ", 1)) for m in fields["tokenizer.ggml.merges"].contents()]
    vocabulary = {t: i for i, t in enumerate(tokens)}
    out = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    out.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    kinds = fields["tokenizer.ggml.token_type"].contents()
    out.add_special_tokens([tokenizers.AddedToken(t, special=True, normalized=False)
                            for t, k in zip(tokens, kinds) if k == gguf.TokenType.CONTROL])
    return out


def write_lines(lines):
    rows = "".join(escape(line) + "\n" for line in lines)
    (GOLDEN / "lines.txt").write_text(rows, encoding="utf-8", newline="")


def write_default_model(path, lines):
    llama, package = oracle(path), package_tokenizer(path)
    rows = []
    for line in lines:
        row = []
        for special in (False, True):
            ids = llama.ids(line, special)
            package.encode_special_tokens = not special
            if is_valid(line):
                other = package.encode(line.decode(), add_special_tokens=False).ids
                if other != ids:
                    raise SystemExit(f"llama.cpp and tokenizers disagree on {line!r}")
            row.append(f"{fnv(ids):016x}")
        rows.append(" ".join(row))
    digest = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    head = (f"# model {digest}\n# llama-cpp-python {importlib.metadata.version('llama-cpp-python')}"
            f" and tokenizers {tokenizers.__version__}, lines.txt\n")
    explicit = [" ".join(map(str, llama.ids(line))) for line in lines[:200]]
    (GOLDEN / "default_model.txt").write_text(head + "\n".join(rows) + "\n")
    (GOLDEN / "default_model_ids.txt").write_text("\n".join(explicit) + "\n")


def training_lines():
    """Well-formed lines without (parts of) special tokens: llama.cpp would merge pieces into a
    control token even where special tokens are not asked for, which llmos does not."""
    parts = ["im_", "<|", "|>", "<0x", "<s>", "</s>", "<unk>", "<user>"]
    return [line for line in tokenizer_lines.make_lines(4000, TRAINING_SEED)
            if is_valid(line) and not any(p.encode() in line for p in parts)]


def train_bpe():
    """Merges learnt on whole lines: they know no words, so every boundary matters."""
    out = tokenizers.Tokenizer(models.BPE())
    out.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(vocab_size=2800, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    out.train_from_iterator((line.decode() for line in training_lines()), trainer)
    model = json.loads(out.to_str())["model"]
    tokens = [t for t, _ in sorted(model["vocab"].items(), key=lambda x: x[1])]
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    return tokens + [byte_level(w) for w in WHOLE_PIECES if byte_level(w) not in tokens], merges


def train_spm():
    """Pieces learnt with ▁ for space; a piece's score is its rank. Every tenth score repeats the
    one before it, so that the leftmost of equal pairs matters."""
    out = tokenizers.Tokenizer(models.BPE())
    out.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    trainer = trainers.BpeTrainer(vocab_size=2800, show_progress=False)
    out.train_from_iterator((line.decode() for line in training_lines()), trainer)
    model = json.loads(out.to_str())["model"]
    pieces = [t for t, _ in sorted(model["vocab"].items(), key=lambda x: x[1])]
    pieces = [p for p in pieces if "\0" not in p][:2600]  # llama.cpp reads tokens as C strings
    return pieces, [float(-(i - i % 10 // 9)) for i in range(len(pieces))]


def writer(path, model):
    out = gguf.GGUFWriter(path, "llama")
    out.add_tokenizer_model(model)
    return out


def finish(out):
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.close()


def write_bpe(path, tokens, merges, pre):
    out = writer(path, "gpt2")
    if pre is not None:
        out.add_tokenizer_pre(pre)
    out.add_token_list(tokens + SPECIAL_TOKENS)
    out.add_token_types([1] * len(tokens) + SPECIAL_KINDS)
    out.add_token_merges(merges)
    out.add_bos_token_id(len(tokens))
    out.add_eos_token_id(len(tokens) + 1)
    finish(out)


def write_spm(path, pieces, scores, add_space_prefix):
    out = writer(path, "llama")
    heads = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256))]
    out.add_token_list(heads + pieces + SPECIAL_TOKENS)
    out.add_token_types([2, 3, 3] + [6] * 256 + [1] * len(pieces) + SPECIAL_KINDS)
    out.add_token_scores([0.0] * len(heads) + scores + [0.0] * len(SPECIAL_TOKENS))
    out.add_bool("tokenizer.ggml.add_space_prefix", add_space_prefix)
    finish(out)


def read_arrays(path, *keys):
    fields = gguf.GGUFReader(path).fields
    return [fields["tokenizer.ggml." + key].contents() for key in keys]


def write_patterns(lines, temporary):
    tokens, merges = read_arrays(GOLDEN / "bpe.gguf", "tokens", "merges")
    rows = []
    for name in NAMES:
        path = temporary / "pattern.gguf"
        write_bpe(path, tokens[:-4], merges, name)
        llama = oracle(path)
        rows.append(" ".join([name, *block_hashes([llama.ids(line) for line in lines])]))
    (GOLDEN / "patterns.txt").write_text("\n".join(rows) + "\n")


def write_pieces(lines, temporary):
    pieces, scores = read_arrays(GOLDEN / "spm.gguf", "tokens", "scores")
    rows = []
    for prefix, special in itertools.product((True, False), (True, False)):
        path = temporary / "spm.gguf"
        write_spm(path, pieces[259:-4], scores[259:-4], prefix)
        llama = oracle(path)
        rows.append(" ".join([f"prefix={int(prefix)},special={int(special)}",
                              *block_hashes([llama.ids(line, special) for line in lines])]))
    (GOLDEN / "spm.txt").write_text("\n".join(rows) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="the default model's GGUF file")
    parser.add_argument("--train", action="store_true", help="make the small vocabularies anew")
    args = parser.parse_args()
    GOLDEN.mkdir(parents=True, exist_ok=True)
    lines = tokenizer_lines.make_lines()
    write_lines(lines)
    write_default_model(args.model, lines)
    if args.train:
        write_bpe(GOLDEN / "bpe.gguf", *train_bpe(), None)
        write_spm(GOLDEN / "spm.gguf", *train_spm(), True)
    with tempfile.TemporaryDirectory() as temporary:
        write_patterns(lines, pathlib.Path(temporary))
        write_pieces(lines, pathlib.Path(temporary))


if __name__ == "__main__":
    main()

#include "tests/support/tiny_model.hpp"

#include <cstdint>
#include <vector>

#include "tests/support/gguf_writer.hpp"

namespace llmos::test {

namespace {

constexpr uint32_t width = 32, layers = 2, heads = 4, kv_heads = 2, head_dim = 8, ff = 64;
constexpr uint32_t num_special = 3, vocabulary = 256 + num_special;

std::string utf8(uint32_t code) {
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xc0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3f))};
}

/// The printable stand-in of a byte in byte-level BPE vocabularies (GPT-2's table).
std::vector<std::string> byte_tokens() {
  std::vector<std::string> out;
  uint32_t extra = 256;
  for (uint32_t b = 0; b < 256; ++b) {
    const bool printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
    out.push_back(utf8(printable ? b : extra++));
  }
  return out;
}

void add_vocabulary(gguf_writer& w) {
  std::vector<std::string> tokens{"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  for (auto& t : byte_tokens()) tokens.push_back(t);
  std::vector<int32_t> types(vocabulary, 1);
  for (uint32_t i = 0; i < num_special; ++i) types[i] = 3;
  w.add_kv("tokenizer.ggml.model", "gpt2").add_kv("tokenizer.ggml.pre", "gpt-2");
  w.add_kv("tokenizer.ggml.tokens", tokens).add_kv("tokenizer.ggml.token_type", types);
  w.add_kv("tokenizer.ggml.merges", std::vector<std::string>{});
  w.add_kv("tokenizer.ggml.bos_token_id", 1u).add_kv("tokenizer.ggml.eos_token_id", 2u);
  w.add_kv("tokenizer.ggml.add_bos_token", false);
  w.add_kv("tokenizer.chat_template",
           "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + "
           "'<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}"
           "{{ '<|im_start|>assistant\\n' }}{% endif %}");
}

void add_hyperparameters(gguf_writer& w) {
  w.add_kv("general.architecture", "llama").add_kv("general.name", "tiny");
  w.add_kv("llama.block_count", layers).add_kv("llama.context_length", 4096u);
  w.add_kv("llama.embedding_length", width).add_kv("llama.feed_forward_length", ff);
  w.add_kv("llama.attention.head_count", heads).add_kv("llama.attention.head_count_kv", kv_heads);
  w.add_kv("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  w.add_kv("llama.rope.freq_base", 10000.0f).add_kv("llama.rope.dimension_count", head_dim);
  w.add_kv("llama.vocab_size", vocabulary);
}

}  // namespace

void write_tiny_model(const std::string& path, uint64_t seed) {
  gguf_writer w;
  add_hyperparameters(w);
  add_vocabulary(w);
  const auto matrix = [&](const std::string& name, uint64_t in, uint64_t out, float scale) {
    w.add_tensor(name, tensor_type::f32, {in, out},
                 random_blocks(tensor_type::f32, in * out, ++seed * 7919, scale));
  };
  const auto ones = [&](const std::string& name) {
    w.add_tensor(name, {width}, std::vector<float>(width, 1.0f));
  };
  matrix("token_embd.weight", width, vocabulary, 1.0f);
  ones("output_norm.weight");
  for (uint32_t l = 0; l < layers; ++l) {
    const auto layer = "blk." + std::to_string(l) + ".";
    ones(layer + "attn_norm.weight");
    ones(layer + "ffn_norm.weight");
    matrix(layer + "attn_q.weight", width, heads * head_dim, 0.2f);
    matrix(layer + "attn_k.weight", width, kv_heads * head_dim, 0.2f);
    matrix(layer + "attn_v.weight", width, kv_heads * head_dim, 0.2f);
    matrix(layer + "attn_output.weight", heads * head_dim, width, 0.2f);
    matrix(layer + "ffn_gate.weight", width, ff, 0.2f);
    matrix(layer + "ffn_up.weight", width, ff, 0.2f);
    matrix(layer + "ffn_down.weight", ff, width, 0.2f);
  }
  w.write(path);
}

}  // namespace llmos::test

#include "runtime/model/model.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tests/support/default_model.hpp"
#include "tests/support/gguf_writer.hpp"

using namespace llmos;

namespace {

using kv_value = std::variant<uint32_t, float, bool, std::string, std::vector<uint32_t>>;

struct tiny_tensor {
  std::vector<uint64_t> dims;
  tensor_type type = tensor_type::f32;
};

/// A llama file of two layers that a test changes before it is written: 8 wide, 2 heads.
struct tiny_file {
  std::map<std::string, kv_value> kv = {
      {"general.architecture", "llama"},
      {"llama.block_count", 2u},
      {"llama.context_length", 64u},
      {"llama.embedding_length", 8u},
      {"llama.feed_forward_length", 12u},
      {"llama.attention.head_count", 2u},
      {"llama.attention.layer_norm_rms_epsilon", 1e-5f},
  };
  std::map<std::string, tiny_tensor> tensors = {{"token_embd.weight", {{8, 10}}},
                                                {"output_norm.weight", {{8}}}};

  tiny_file() {
    for (const std::string blk : {"blk.0.", "blk.1."}) {
      for (const char* name : {"attn_norm.weight", "ffn_norm.weight"}) tensors[blk + name] = {{8}};
      for (const char* name : {"q", "k", "v", "output"}) {
        tensors[blk + "attn_" + name + ".weight"] = {{8, 8}};
      }
      tensors[blk + "ffn_gate.weight"] = tensors[blk + "ffn_up.weight"] = {{8, 12}};
      tensors[blk + "ffn_down.weight"] = {{12, 8}};
    }
  }

  /// The same file as another architecture, with what that one needs.
  void become(const std::string& arch) {
    std::map<std::string, kv_value> renamed;
    for (auto& [key, value] : kv) {
      const bool own = key.starts_with("llama.");
      renamed[own ? arch + key.substr(5) : key] = std::move(value);
    }
    kv = std::move(renamed);
    kv["general.architecture"] = arch;
    for (const std::string blk : {"blk.0.attn_", "blk.1.attn_"}) {
      for (const char* name : {"q", "k", "v"}) {
        if (arch == "qwen2") tensors[blk + name + ".bias"] = {{8}};
      }
      if (arch == "qwen3") tensors[blk + "q_norm.weight"] = tensors[blk + "k_norm.weight"] = {{4}};
    }
  }

  std::vector<std::byte> bytes() const {
    test::gguf_writer out;
    for (const auto& [key, value] : kv) {
      std::visit([&, &k = key](const auto& x) { out.add_kv(k, x); }, value);
    }
    for (const auto& [name, t] : tensors) {
      uint64_t n = 1;
      for (const uint64_t d : t.dims) n *= d;
      const type_info& type = info_of(t.type);
      const std::vector<std::byte> zeros(n / type.block_elems * type.block_bytes);
      out.add_tensor(name, t.type, t.dims, zeros);
    }
    return out.bytes();
  }
};

/// Loads from bytes that the caller keeps.
result<std::shared_ptr<const model>> load(const std::vector<std::byte>& bytes) {
  return load_model(gguf_file::parse(bytes, "tiny.gguf").value());
}

void set_all(tiny_file& f, const char* suffix, const tiny_tensor& t) {
  for (const char* blk : {"blk.0.", "blk.1."}) f.tensors[std::string(blk) + suffix] = t;
}

}  // namespace

TEST_SUITE("runtime.model.model") {
  TEST_CASE("a llama file gives its hyperparameters and every tensor its place") {
    tiny_file f;
    f.kv["llama.attention.head_count_kv"] = 1u;
    f.kv["llama.rope.freq_base"] = 500000.0f;
    set_all(f, "attn_k.weight", {{8, 4}});
    set_all(f, "attn_v.weight", {{8, 4}});
    f.tensors["output.weight"] = {{8, 10}, tensor_type::bf16};
    const auto bytes = f.bytes();
    const auto m = load(bytes).value();
    CHECK(m->hp.arch == architecture::llama);
    CHECK(m->hp.rope == rope_style::interleaved);
    CHECK(m->hp.n_layers == 2);
    CHECK(m->hp.n_embd == 8);
    CHECK(m->hp.n_heads == 2);
    CHECK(m->hp.n_kv_heads == 1);
    CHECK(m->hp.head_dim == 4);
    CHECK(m->hp.rope_dim == 4);
    CHECK(m->hp.n_ff == 12);
    CHECK(m->hp.n_vocab == 10);
    CHECK(m->hp.n_ctx_train == 64);
    CHECK(m->hp.rms_eps == 1e-5f);
    CHECK(m->hp.rope_base == 500000.0f);
    CHECK_FALSE(m->tied());
    REQUIRE(m->layers.size() == 2);
    CHECK(m->layers[1].down->name == "blk.1.ffn_down.weight");
    CHECK(m->layers[1].bq == nullptr);
    CHECK(m->layers[1].q_norm == nullptr);
  }

  TEST_CASE("qwen2 has biases and qwen3 norms of q and k, both rotate halves") {
    for (const std::string arch : {"qwen2", "qwen3"}) {
      CAPTURE(arch);
      tiny_file f;
      f.become(arch);
      const auto bytes = f.bytes();
      const auto m = load(bytes).value();
      CHECK(m->tied());
      CHECK(m->hp.rope == rope_style::halves);
      CHECK((m->layers[0].bk != nullptr) == (arch == "qwen2"));
      CHECK((m->layers[0].k_norm != nullptr) == (arch == "qwen3"));
    }
  }

  TEST_CASE("an explicit key length decides the size of a head") {
    tiny_file f;
    f.become("qwen3");
    f.kv["qwen3.attention.key_length"] = 6u;
    f.kv["qwen3.attention.value_length"] = 6u;
    for (const char* name : {"attn_q.weight", "attn_k.weight", "attn_v.weight"}) {
      set_all(f, name, {{8, 12}});
    }
    set_all(f, "attn_output.weight", {{12, 8}});
    set_all(f, "attn_q_norm.weight", {{6}});
    set_all(f, "attn_k_norm.weight", {{6}});
    const auto bytes = f.bytes();
    const auto m = load(bytes).value();
    CHECK(m->hp.head_dim == 6);
    CHECK(m->hp.rope_dim == 6);
  }

  TEST_CASE("rope scaling becomes a scale, divisors and a gain") {
    struct row {
      const char* type;
      float scale;
      float gain;
      size_t n_divisors;
    };
    for (const row& r : {row{"none", 1.0f, 1.0f, 0}, row{"linear", 0.25f, 1.0f, 0},
                         row{"yarn", 1.0f, 1.1386294f, 2}}) {
      CAPTURE(r.type);
      tiny_file f;
      f.kv["llama.rope.scaling.type"] = r.type;
      f.kv["llama.rope.scaling.factor"] = 4.0f;
      f.kv["llama.rope.scaling.original_context_length"] = 16u;
      const auto bytes = f.bytes();
      const auto m = load(bytes).value();
      CHECK(m->hp.rope_scale == r.scale);
      CHECK(m->hp.rope_attn_factor == doctest::Approx(r.gain));
      CHECK(m->rope_factors.size() == r.n_divisors);
    }
  }

  TEST_CASE("a file that says something else than its tensors is refused by name") {
    struct row {
      const char* name;
      void (*change)(tiny_file&);
      ec want;
      const char* text;  ///< Follows "tiny.gguf: ".
    };
    const row table[] = {
        {"no architecture", [](tiny_file& f) { f.kv.erase("general.architecture"); }, ec::bad_file,
         "'general.architecture' is missing"},
        {"unknown architecture", [](tiny_file& f) { f.kv["general.architecture"] = "mamba"; },
         ec::unsupported, "architecture 'mamba' is not supported"},
        {"hostile architecture", [](tiny_file& f) { f.kv["general.architecture"] = "a\x1b[2J\n"; },
         ec::unsupported, "architecture 'a\\x1b[2J\\n' is not supported"},
        {"no layer count", [](tiny_file& f) { f.kv.erase("llama.block_count"); }, ec::bad_file,
         "'llama.block_count' is missing"},
        {"no layers", [](tiny_file& f) { f.kv["llama.block_count"] = 0u; }, ec::bad_file,
         "'llama.block_count' is 0, expected 1 to 4096"},
        {"many layers", [](tiny_file& f) { f.kv["llama.block_count"] = ~0u; }, ec::bad_file,
         "'llama.block_count' is 4294967295, expected 1 to 4096"},
        {"one layer too many", [](tiny_file& f) { f.kv["llama.block_count"] = 3u; }, ec::bad_file,
         "tensor 'blk.2.attn_norm.weight' is missing"},
        {"one layer too few", [](tiny_file& f) { f.kv["llama.block_count"] = 1u; }, ec::unsupported,
         "tensor 'blk.1.attn_k.weight' has no place in architecture llama"},
        {"width as text", [](tiny_file& f) { f.kv["llama.embedding_length"] = "8"; }, ec::bad_file,
         "key 'llama.embedding_length' has the type string, not an unsigned integer"},
        {"heads that do not divide the width",
         [](tiny_file& f) { f.kv["llama.attention.head_count"] = 3u; }, ec::bad_file,
         "'llama.embedding_length' is 8, not a multiple of 3 heads"},
        {"KV heads that do not divide the heads",
         [](tiny_file& f) {
           f.kv["llama.attention.head_count"] = 4u;
           f.kv["llama.attention.head_count_kv"] = 3u;
         },
         ec::bad_file,
         "'llama.attention.head_count' is 4, not a multiple of the 3 heads of K and V"},
        {"odd heads", [](tiny_file& f) { f.kv["llama.attention.head_count"] = 8u; }, ec::bad_file,
         "'llama.attention.key_length' makes heads of 1 dimensions, expected an even number"},
        {"values shorter than keys",
         [](tiny_file& f) { f.kv["llama.attention.value_length"] = 2u; }, ec::unsupported,
         "'llama.attention.value_length' is 2 beside keys of length 4"},
        {"heads by layer, different",
         [](tiny_file& f) {
           f.kv["llama.attention.head_count"] = std::vector{2u, 4u};
         },
         ec::unsupported, "'llama.attention.head_count' differs between layers: 2 and 4"},
        {"no epsilon", [](tiny_file& f) { f.kv.erase("llama.attention.layer_norm_rms_epsilon"); },
         ec::bad_file, "'llama.attention.layer_norm_rms_epsilon' is missing"},
        {"epsilon 0", [](tiny_file& f) { f.kv["llama.attention.layer_norm_rms_epsilon"] = 0.0f; },
         ec::bad_file,
         "'llama.attention.layer_norm_rms_epsilon' is 0.000000, expected a finite number above"},
        {"epsilon not a number",
         [](tiny_file& f) {
           f.kv["llama.attention.layer_norm_rms_epsilon"] = std::numeric_limits<float>::quiet_NaN();
         },
         ec::bad_file, "'llama.attention.layer_norm_rms_epsilon' is nan"},
        {"experts", [](tiny_file& f) { f.kv["llama.expert_count"] = 8u; }, ec::unsupported,
         "'llama.expert_count' asks for a mixture of experts"},
        {"soft-capped logits", [](tiny_file& f) { f.kv["llama.final_logit_softcapping"] = 30.0f; },
         ec::unsupported, "'llama.final_logit_softcapping' asks for soft-capped logits"},
        {"encoder", [](tiny_file& f) { f.kv["llama.attention.causal"] = false; }, ec::unsupported,
         "'llama.attention.causal' asks for attention to later positions"},
        {"narrow window", [](tiny_file& f) { f.kv["llama.attention.sliding_window"] = 32u; },
         ec::unsupported, "'llama.attention.sliding_window' asks for sliding-window attention"},
        {"odd rotation", [](tiny_file& f) { f.kv["llama.rope.dimension_count"] = 3u; },
         ec::bad_file, "'llama.rope.dimension_count' is 3, expected an even number"},
        {"rotation wider than a head",
         [](tiny_file& f) { f.kv["llama.rope.dimension_count"] = 8u; }, ec::bad_file,
         "'llama.rope.dimension_count' is 8, expected 1 to 4"},
        {"unknown rope scaling", [](tiny_file& f) { f.kv["llama.rope.scaling.type"] = "longrope"; },
         ec::unsupported,
         "'llama.rope.scaling.type' is 'longrope', known are none, linear and yarn"},
        {"rope factor 0", [](tiny_file& f) { f.kv["llama.rope.scaling.factor"] = 0.0f; },
         ec::bad_file, "'llama.rope.scaling.factor' is 0.000000"},
        {"no embedding", [](tiny_file& f) { f.tensors.erase("token_embd.weight"); }, ec::bad_file,
         "tensor 'token_embd.weight' is missing"},
        {"another vocabulary", [](tiny_file& f) { f.kv["llama.vocab_size"] = 11u; }, ec::bad_file,
         "tensor 'token_embd.weight' has 10 rows, but 'llama.vocab_size' says 11"},
        {"wrong shape",
         [](tiny_file& f) {
           f.tensors["blk.1.ffn_down.weight"] = {{8, 12}};
         },
         ec::bad_file, "tensor 'blk.1.ffn_down.weight' has shape [8, 12], expected [12, 8]"},
        {"wrong rank",
         [](tiny_file& f) {
           f.tensors["blk.0.attn_q.weight"] = {{8, 8, 2}};
         },
         ec::bad_file, "tensor 'blk.0.attn_q.weight' has shape [8, 8, 2], expected [8, 8]"},
        {"wrong norm", [](tiny_file& f) { f.tensors["output_norm.weight"] = {{9}}; }, ec::bad_file,
         "tensor 'output_norm.weight' has shape [9], expected [8]"},
        {"quantised norm",
         [](tiny_file& f) {
           f.kv["llama.embedding_length"] = 32u;
           f.tensors["token_embd.weight"] = {{32, 10}};
           f.tensors["output_norm.weight"] = {{32}, tensor_type::q8_0};
         },
         ec::bad_file, "tensor 'output_norm.weight' has type Q8_0, expected F32, F16 or BF16"},
        {"a tensor of experts",
         [](tiny_file& f) {
           f.tensors["blk.0.ffn_gate_inp.weight"] = {{8, 4}};
         },
         ec::unsupported, "tensor 'blk.0.ffn_gate_inp.weight' has no place in architecture llama"},
        {"qwen2 without biases",
         [](tiny_file& f) {
           f.become("qwen2");
           f.tensors.erase("blk.1.attn_v.bias");
         },
         ec::bad_file, "tensor 'blk.1.attn_v.bias' is missing"},
        {"rope divisors of 0", [](tiny_file& f) { f.tensors["rope_freqs.weight"] = {{2}}; },
         ec::bad_file, "tensor 'rope_freqs.weight' holds 0.000000"},
        {"rope divisors of another head",
         [](tiny_file& f) { f.tensors["rope_freqs.weight"] = {{4}}; }, ec::bad_file,
         "tensor 'rope_freqs.weight' has shape [4], expected [2]"},
    };
    for (const row& r : table) {
      CAPTURE(r.name);
      tiny_file f;
      r.change(f);
      const auto bytes = f.bytes();
      const auto m = load(bytes);
      REQUIRE_FALSE(m.ok());
      CHECK(m.error().code == r.want);
      CHECK_MESSAGE(m.error().text.starts_with("tiny.gguf: " + std::string(r.text)),
                    m.error().text);
      CHECK_FALSE(m.error().hint.empty());
    }
  }

  TEST_CASE("what changes nothing is accepted") {
    struct row {
      const char* name;
      void (*change)(tiny_file&);
    };
    const row table[] = {
        {"no experts", [](tiny_file& f) { f.kv["llama.expert_count"] = 0u; }},
        {"a window as wide as the context",
         [](tiny_file& f) { f.kv["llama.attention.sliding_window"] = 64u; }},
        {"heads by layer, equal",
         [](tiny_file& f) {
           f.kv["llama.attention.head_count"] = std::vector{2u, 2u};
         }},
        {"an old table of angles",
         [](tiny_file& f) { f.tensors["blk.0.attn_rot_embd.weight"] = {{2}}; }},
        {"vectors with a second dimension of 1",
         [](tiny_file& f) {
           f.tensors["output_norm.weight"] = {{8, 1}};
         }},
        {"the right vocabulary", [](tiny_file& f) { f.kv["llama.vocab_size"] = 10u; }},
        {"float16 norms",
         [](tiny_file& f) { f.tensors["output_norm.weight"].type = tensor_type::f16; }},
    };
    for (const row& r : table) {
      CAPTURE(r.name);
      tiny_file f;
      r.change(f);
      const auto bytes = f.bytes();
      const auto m = load(bytes);
      CHECK_MESSAGE(m.ok(), to_string(m.ok() ? failure{} : m.error()));
    }
  }

  TEST_CASE("the memory a model needs is known before it is loaded") {
    tiny_file f;
    const auto bytes = f.bytes();
    const auto m = load(bytes).value();
    const memory_need need = need_of(*m, kv_type::f16);
    CHECK(need.kv_bytes_per_token == 2 * 2 * 8 * 2);  // K and V, layers, width, bytes
    // embedding, last norm, and per layer two norms, four squares and three of 8 × 12
    CHECK(need.weights_bytes == 4 * (80 + 8 + 2 * (2 * 8 + 4 * 64 + 3 * 96)));
  }

  TEST_CASE("the default model loads") {
    const auto m = test::default_model();
    if (m == nullptr) return;
    CHECK(m->hp.n_layers == 30);
    CHECK(m->hp.n_vocab == 49152);
    CHECK(m->hp.n_kv_heads == 3);
    CHECK(m->hp.rope_base == 100000.0f);
    CHECK(m->tied());
    CHECK(need_of(*m, kv_type::f16).kv_bytes_per_token == 2 * 30 * 3 * 64 * 2);
    CHECK(need_of(*m, kv_type::q8_0).kv_bytes_per_token == 2 * 30 * 3 * (64 + 2 * 2));
  }
}

#include "runtime/model/hyperparameters.hpp"

#include <cmath>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "runtime/gguf/printable.hpp"
#include "runtime/model/rope.hpp"

namespace llmos {

namespace {

// Far above any known model, low enough that no product of two of them leaves 64 bits.
constexpr uint64_t layers_max = 4096;
constexpr uint64_t width_max = 1u << 20;
constexpr uint64_t ff_max = 1u << 22;
constexpr uint64_t heads_max = 1u << 14;
constexpr uint64_t head_dim_max = 4096;
constexpr uint64_t context_max = 1u << 26;

/// The keys of one architecture in one file: "block_count" means "llama.block_count".
class arch_keys {
public:
  arch_keys(const gguf_file& file, std::string_view arch) : file_(file), prefix_(arch) {
    prefix_ += '.';
  }

  std::string key(std::string_view suffix) const { return prefix_ + std::string(suffix); }
  const gguf_entry* find(std::string_view suffix) const { return file_.find(key(suffix)); }

  failure bad(std::string_view suffix, const std::string& says) const {
    return {ec::bad_file, file_.path() + ": '" + key(suffix) + "' " + says,
            "get another copy of the file"};
  }
  failure unsupported(std::string_view suffix, const std::string& says) const {
    return {ec::unsupported, file_.path() + ": '" + key(suffix) + "' " + says,
            "use a model without this feature"};
  }

  /// A size of 1 to `max` that the file must state, one for the whole model.
  result<uint32_t> size(std::string_view suffix, uint64_t max) const {
    if (find(suffix) == nullptr) return bad(suffix, "is missing");
    LLMOS_TRY(const uint64_t value, whole(suffix));
    if (value == 0 || value > max) {
      return bad(suffix, "is " + std::to_string(value) + ", expected 1 to " + std::to_string(max));
    }
    return static_cast<uint32_t>(value);
  }
  result<uint32_t> size_or(std::string_view suffix, uint64_t max, uint32_t fallback) const {
    return find(suffix) == nullptr ? result<uint32_t>(fallback) : size(suffix, max);
  }

  /// A number above `low` and finite as a float; `fallback` where the file says nothing.
  result<double> number_or(std::string_view suffix, double low, double fallback) const {
    LLMOS_TRY(const double value, file_.get_float_or(key(suffix), fallback));
    const float rounded = static_cast<float>(value);
    if (!std::isfinite(rounded) || !(rounded > low)) {
      return bad(suffix, "is " + std::to_string(value) + ", expected a finite number above " +
                             std::to_string(low));
    }
    return value;
  }

private:
  /// An integer, or an array of one equal integer per layer.
  result<uint64_t> whole(std::string_view suffix) const {
    const auto* array = std::get_if<gguf_array>(&find(suffix)->value);
    if (array == nullptr) {
      return file_.get_uint(key(suffix));
    }
    const bool words =
        array->element_type == gguf_type::u32 || array->element_type == gguf_type::i32;
    if (!words || array->count == 0) return bad(suffix, "is an array, but not of 32-bit integers");
    uint32_t first = 0;
    std::memcpy(&first, array->bytes.data(), sizeof first);
    for (uint64_t i = 1; i < array->count; ++i) {
      uint32_t other = 0;
      std::memcpy(&other, array->bytes.data() + i * sizeof other, sizeof other);
      if (other != first) {
        return unsupported(suffix, "differs between layers: " + std::to_string(first) + " and " +
                                       std::to_string(other));
      }
    }
    return static_cast<uint64_t>(first);
  }

  const gguf_file& file_;
  std::string prefix_;
};

/// A key that changes the forward pass in a way llmos does not compute, unless it is neutral.
struct feature {
  const char* suffix;
  const char* name;
  double neutral;
};
constexpr feature unknown_features[] = {
    {"expert_count", "a mixture of experts", 0},
    {"attn_logit_softcapping", "soft-capped attention scores", 0},
    {"final_logit_softcapping", "soft-capped logits", 0},
    {"attention.max_alibi_bias", "ALiBi positions", 0},
    {"attention.clamp_kqv", "clamped queries, keys and values", 0},
    {"attention.scale", "an attention scale of its own", 0},
    {"attention.causal", "attention to later positions", 1},
    {"embedding_scale", "scaled embeddings", 1},
    {"residual_scale", "a scaled residual stream", 1},
    {"logit_scale", "scaled logits", 1},
    {"rope.scaling.yarn_ext_factor", "partial YaRN", 1},
    {"rope.scaling.yarn_log_multiplier", "a YaRN multiplier of its own", 0},
};

double as_number(const gguf_value& value) {
  return std::visit(
      [](const auto& x) -> double {
        if constexpr (std::is_arithmetic_v<std::decay_t<decltype(x)>>) {
          return static_cast<double>(x);
        } else {
          return std::nan("");
        }
      },
      value);
}

result<void> refuse_unknown_features(const arch_keys& keys) {
  for (const feature& f : unknown_features) {
    const gguf_entry* entry = keys.find(f.suffix);
    if (entry == nullptr || as_number(entry->value) == f.neutral) continue;
    return keys.unsupported(f.suffix, std::string("asks for ") + f.name);
  }
  return {};
}

/// Attention to a window is the same as full attention while the context fits the window.
result<void> refuse_sliding_window(const arch_keys& keys, const hyperparameters& hp) {
  const gguf_entry* entry = keys.find("attention.sliding_window");
  if (entry == nullptr) return {};
  const double window = as_number(entry->value);
  if (window == 0 || window >= hp.n_ctx_train) return {};
  return keys.unsupported("attention.sliding_window",
                          "asks for sliding-window attention, narrower than the context of " +
                              std::to_string(hp.n_ctx_train));
}

result<void> read_heads(const arch_keys& keys, hyperparameters& hp) {
  LLMOS_TRY(hp.n_heads, keys.size("attention.head_count", heads_max));
  LLMOS_TRY(hp.n_kv_heads, keys.size_or("attention.head_count_kv", heads_max, hp.n_heads));
  if (hp.n_heads % hp.n_kv_heads != 0) {
    return keys.bad("attention.head_count",
                    "is " + std::to_string(hp.n_heads) + ", not a multiple of the " +
                        std::to_string(hp.n_kv_heads) + " heads of K and V");
  }
  if (keys.find("attention.key_length") == nullptr && hp.n_embd % hp.n_heads != 0) {
    return keys.bad("embedding_length", "is " + std::to_string(hp.n_embd) + ", not a multiple of " +
                                            std::to_string(hp.n_heads) + " heads");
  }
  const uint32_t usual = hp.n_embd / hp.n_heads;
  LLMOS_TRY(hp.head_dim, keys.size_or("attention.key_length", head_dim_max, usual));
  LLMOS_TRY(const uint32_t value_dim, keys.size_or("attention.value_length", head_dim_max, usual));
  if (value_dim != hp.head_dim) {
    return keys.unsupported("attention.value_length", "is " + std::to_string(value_dim) +
                                                          " beside keys of length " +
                                                          std::to_string(hp.head_dim));
  }
  if (hp.head_dim == 0 || hp.head_dim % 2 != 0) {
    return keys.bad("attention.key_length", "makes heads of " + std::to_string(hp.head_dim) +
                                                " dimensions, expected an even number");
  }
  return {};
}

result<void> read_yarn(const arch_keys& keys, double factor, model_metadata& out) {
  hyperparameters& hp = out.hp;
  yarn_params p{.rope_dim = hp.rope_dim, .base = hp.rope_base, .factor = factor};
  LLMOS_TRY(p.original_context,
            keys.size_or("rope.scaling.original_context_length", context_max, hp.n_ctx_train));
  LLMOS_TRY(p.beta_fast, keys.number_or("rope.scaling.yarn_beta_fast", 0, p.beta_fast));
  LLMOS_TRY(p.beta_slow, keys.number_or("rope.scaling.yarn_beta_slow", 0, p.beta_slow));
  LLMOS_TRY(const double attn, keys.number_or("rope.scaling.attn_factor", 0, 1.0));
  out.rope_factors = yarn_rope_factors(p);
  hp.rope_attn_factor = static_cast<float>(attn * yarn_attn_factor(factor));
  return {};
}

result<void> read_rope(const gguf_file& file, const arch_keys& keys, model_metadata& out) {
  hyperparameters& hp = out.hp;
  LLMOS_TRY(hp.rope_dim, keys.size_or("rope.dimension_count", hp.head_dim, hp.head_dim));
  if (hp.rope_dim % 2 != 0) {
    return keys.bad("rope.dimension_count",
                    "is " + std::to_string(hp.rope_dim) + ", expected an even number");
  }
  LLMOS_TRY(const double base, keys.number_or("rope.freq_base", 1, 10000.0));
  hp.rope_base = static_cast<float>(base);

  // Files from before mid-2023 say `rope.scale_linear` and mean a linear factor.
  LLMOS_TRY(const double old_factor, keys.number_or("rope.scale_linear", 0, 1.0));
  LLMOS_TRY(const double factor, keys.number_or("rope.scaling.factor", 0, old_factor));
  LLMOS_TRY(const auto type, file.get_string_or(keys.key("rope.scaling.type"), "linear"));
  if (type == "none") return {};
  if (type == "linear") {
    hp.rope_scale = static_cast<float>(1.0 / factor);
    return {};
  }
  if (type == "yarn") return read_yarn(keys, factor, out);
  return keys.unsupported("rope.scaling.type",
                          "is '" + printable(type, 40) + "', known are none, linear and yarn");
}

result<architecture> read_architecture(const gguf_file& file) {
  if (file.find("general.architecture") == nullptr) {
    return failure{ec::bad_file, file.path() + ": 'general.architecture' is missing",
                   "get another copy of the file"};
  }
  LLMOS_TRY(const auto name, file.get_string("general.architecture"));
  for (const auto arch : {architecture::llama, architecture::qwen2, architecture::qwen3}) {
    if (name == to_string(arch)) return arch;
  }
  return failure{ec::unsupported,
                 file.path() + ": architecture '" + printable(name, 40) + "' is not supported",
                 "known are llama, qwen2 and qwen3"};
}

}  // namespace

result<model_metadata> read_metadata(const gguf_file& file) {
  model_metadata out;
  hyperparameters& hp = out.hp;
  LLMOS_TRY(hp.arch, read_architecture(file));
  hp.rope = hp.arch == architecture::llama ? rope_style::interleaved : rope_style::halves;
  const arch_keys keys(file, to_string(hp.arch));
  LLMOS_TRY_VOID(refuse_unknown_features(keys));
  LLMOS_TRY(hp.n_layers, keys.size("block_count", layers_max));
  LLMOS_TRY(hp.n_ctx_train, keys.size("context_length", context_max));
  LLMOS_TRY(hp.n_embd, keys.size("embedding_length", width_max));
  LLMOS_TRY(hp.n_ff, keys.size("feed_forward_length", ff_max));
  LLMOS_TRY_VOID(refuse_sliding_window(keys, hp));
  LLMOS_TRY_VOID(read_heads(keys, hp));
  if (keys.find("attention.layer_norm_rms_epsilon") == nullptr) {
    return keys.bad("attention.layer_norm_rms_epsilon", "is missing");
  }
  LLMOS_TRY(const double eps, keys.number_or("attention.layer_norm_rms_epsilon", 0, 0));
  hp.rms_eps = static_cast<float>(eps);
  LLMOS_TRY_VOID(read_rope(file, keys, out));
  return out;
}

}  // namespace llmos

#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "runtime/base/result.hpp"

namespace llmos {

/// A model's own chat template comes from a file that nobody vouches for: it gets a budget.
struct template_limits {
  uint64_t max_output_bytes = 16u << 20;
  uint64_t max_steps = 5'000'000;          ///< Evaluated nodes, and builtins by their work.
  uint32_t max_depth = 128;                ///< Nesting of blocks, calls and expressions.
  uint64_t max_memory_bytes = 256u << 20;  ///< Values, calls and output alive; not the input.
};

struct template_input {
  const nlohmann::ordered_json* messages = nullptr;  ///< Array of {role, content, …}.
  const nlohmann::ordered_json* tools = nullptr;     ///< Array, or nullptr: none in the template.
  std::string_view bos_token;
  std::string_view eos_token;
  bool add_generation_prompt = true;
  const nlohmann::ordered_json* extra = nullptr;  ///< Object: further variables.
  std::chrono::sys_seconds now{};  ///< For strftime_now, which prints it without a time zone.
};

namespace jinja {
struct program;
}

/// A Jinja template as Hugging Face renders it: trim_blocks and lstrip_blocks on,
/// `raise_exception`, `strftime_now`, `tojson`, namespaces, macros, loop controls.
class chat_template {
public:
  /// Far more than a template needs: a parsed one can take two hundred times the memory.
  static constexpr size_t max_source_bytes = 256u << 10;

  /// Errors: bad_file with line and column, unsupported naming the tag, filter or test, over_limit
  /// for what is too long or nests too deeply.
  static result<chat_template> parse(std::string source);

  /// Errors: invalid_argument (raise_exception's text, undefined use), over_limit (a limit).
  result<std::string> render(const template_input& input, const template_limits& limits = {}) const;

  const std::string& source() const;

private:
  std::shared_ptr<const jinja::program> program_;
};

}  // namespace llmos

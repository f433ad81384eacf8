#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.hpp"

namespace llmos {

/// Where something stands in a text; both count from 1, columns count bytes.
struct text_place {
  uint32_t line = 1;
  uint32_t column = 1;
  friend bool operator==(const text_place&, const text_place&) = default;
};

struct yaml_field;

/// A YAML value with its place. Scalars stay text: who wants a number says so and can then name
/// the place of what is none.
struct yaml_node {
  enum class kind : uint8_t { null, scalar, sequence, map };
  kind type = kind::null;
  bool quoted = false;  ///< A scalar in quotes or a block: text, whatever it looks like.
  text_place place;
  std::string text;                ///< Of a scalar.
  std::vector<yaml_node> items;    ///< Of a sequence.
  std::vector<yaml_field> fields;  ///< Of a map, in the file's order, keys unique.

  /// The value of a map's key, or nullptr.
  const yaml_node* find(std::string_view key) const;
};

struct yaml_field {
  std::string key;
  text_place place;
  yaml_node value;
};

/// The text in quotes, printable, cut after 60 bytes.
std::string quote_short(std::string_view text);

/// "a map", "the text \"abc\"", "nothing", … for error texts.
std::string describe(const yaml_node& x);

/// bad_file whose text starts with "name:line:column: ".
failure error_at(std::string_view name, text_place place, std::string_view text,
                 std::string hint = "");

/// Limits of what a person may write by hand.
constexpr uint32_t max_yaml_depth = 32;
constexpr uint64_t max_yaml_bytes = 512u << 10;  ///< Of a file: its tree takes many times as much.

/// The text of a YAML file; `mend`: what to do about one that is too large. Errors: not_found,
/// io_error, bad_file when it holds more than max_yaml_bytes.
result<std::string> read_yaml_file(const std::string& path, const std::string& mend);

/// Reads one YAML document. An empty one is a null node. Aliases, tags, duplicate keys, keys that
/// are no scalars, a second document, nesting deeper than `max_yaml_depth`, invalid UTF-8 and
/// control bytes are refused. Errors: bad_file as error_at gives it; `name` stands in for the path.
result<yaml_node> parse_yaml(std::string_view text, std::string_view name);

}  // namespace llmos

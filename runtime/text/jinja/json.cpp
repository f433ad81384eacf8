#include "runtime/text/jinja/json.hpp"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "runtime/base/utf8.hpp"
#include "runtime/text/jinja/compare.hpp"
#include "runtime/text/jinja/fault.hpp"
#include "runtime/text/jinja/numbers.hpp"
#include "runtime/text/jinja/unicode.hpp"

namespace llmos::jinja {

namespace {

using json = nlohmann::ordered_json;

value from_json(const json& x, uint32_t room);

value text_from_json(const std::string& s) {
  return constant_text(first_invalid_utf8(s) ? repair_utf8(s) : s);
}

value list_from_json(const json& x, uint32_t room) {
  auto out = std::make_shared<sequence>();
  out->items.reserve(x.size());
  for (const json& item : x) {
    out->items.push_back(from_json(item, room));
    out->depth = std::max(out->depth, out->items.back().depth() + 1);
  }
  return value(std::shared_ptr<const sequence>(std::move(out)));
}

value dict_from_json(const json& x, uint32_t room) {
  auto out = std::make_shared<mapping>();
  for (const auto& [key, item] : x.items())
    out->set(text_from_json(key), from_json(item, room), nullptr);
  return value(std::shared_ptr<const mapping>(std::move(out)));
}

value from_json(const json& x, uint32_t room) {
  if (room == 0) {
    fail_limit("the input nests deeper than " + std::to_string(max_value_depth));
  }
  switch (x.type()) {
    case json::value_t::null: return none_type{};
    case json::value_t::boolean: return x.get<bool>();
    case json::value_t::number_integer: return x.get<int64_t>();
    case json::value_t::number_unsigned: {
      const auto n = x.get<uint64_t>();
      if (n > static_cast<uint64_t>(INT64_MAX)) return big_integer{n};
      return static_cast<int64_t>(n);
    }
    case json::value_t::number_float: return x.get<double>();
    case json::value_t::string: return text_from_json(x.get_ref<const std::string&>());
    case json::value_t::array: return list_from_json(x, room - 1);
    case json::value_t::object: return dict_from_json(x, room - 1);
    default: fail("the input holds a JSON value that is no value");
  }
}

void append_unicode_escape(std::string& out, uint32_t unit) {
  out += "\\u";
  append_hex(out, unit, 4);
}

void append_character(std::string& out, char32_t c, bool ensure_ascii) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    case '\f': out += "\\f"; return;
    case '\b': out += "\\b"; return;
    default: break;
  }
  if (c < 0x20 || (ensure_ascii && c > 0x7e && c < 0x10000)) {
    append_unicode_escape(out, c);
  } else if (ensure_ascii && c >= 0x10000) {
    append_unicode_escape(out, 0xd800 + ((c - 0x10000) >> 10));
    append_unicode_escape(out, 0xdc00 + ((c - 0x10000) & 0x3ff));
  } else {
    append_utf8(out, c);
  }
}

std::string float_to_json(double x) {
  if (std::isnan(x)) return "NaN";
  if (std::isinf(x)) return x < 0 ? "-Infinity" : "Infinity";
  return float_repr(x);
}

class json_writer {
public:
  json_writer(machine& m, const json_style& style) : m_(m), style_(style) {}

  std::string write(const value& x) {
    append(x);
    return std::move(out_);
  }

private:
  void append(const value& x) {
    m_.step();
    m_.check_length(out_.size());
    switch (x.kind()) {
      case kind::text: append_text(x.bytes()); break;
      case kind::sequence: append_list(x.items()); break;
      case kind::mapping: append_dict(x.mapping()); break;
      default: out_ += scalar(x);
    }
  }

  std::string scalar(const value& x) const {
    switch (x.kind()) {
      case kind::none: return "null";
      case kind::boolean: return x.boolean() ? "true" : "false";
      case kind::integer: return std::to_string(x.integer());
      case kind::big_integer: return std::to_string(x.big());
      case kind::real: return float_to_json(x.real());
      case kind::undefined: fail("tojson of an undefined value: " + x.origin().message());
      default: fail(std::string("tojson of a ") + x.type_name());
    }
  }

  void append_text(std::string_view s) {
    m_.scan(s.size());
    out_ += '"';
    for (size_t pos = 0; pos < s.size();) {
      m_.check_length(out_.size());
      append_character(out_, next_code_point(s, pos), style_.ensure_ascii);
    }
    out_ += '"';
  }

  void append_list(const std::vector<value>& items) {
    if (items.empty()) return void(out_ += "[]");
    out_ += '[';
    ++level_;
    for (size_t i = 0; i < items.size(); ++i) {
      separate(i > 0);
      append(items[i]);
    }
    close(']');
  }

  void append_dict(const mapping& x) {
    if (x.entries().empty()) return void(out_ += "{}");
    std::vector<const mapping::entry*> entries;
    for (const auto& e : x.entries()) entries.push_back(&e);
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(), [this](const auto* a, const auto* b) {
        m_.step();
        return compare(m_, comparison::lt, a->first, b->first);
      });
    }
    out_ += '{';
    ++level_;
    for (size_t i = 0; i < entries.size(); ++i) {
      separate(i > 0);
      append_key(entries[i]->first);
      out_ += style_.key_separator;
      append(entries[i]->second);
    }
    close('}');
  }

  void append_key(const value& key) {
    if (key.is_text()) return append_text(key.bytes());
    if (key.is(kind::sequence) || key.is(kind::object) || key.is_undefined()) {
      fail(std::string("tojson: a dict's key is a ") + key.type_name());
    }
    append_text(scalar(key));
  }

  void separate(bool is_later_item) {
    if (is_later_item) out_ += style_.item_separator;
    break_line();
  }

  void close(char bracket) {
    --level_;
    break_line();
    out_ += bracket;
  }

  void break_line() {
    if (!style_.indent) return;
    m_.check_length(out_.size() + level_ * style_.indent->size());
    out_ += '\n';
    for (uint32_t i = 0; i < level_; ++i) out_ += *style_.indent;
  }

  machine& m_;
  const json_style& style_;
  std::string out_;
  uint32_t level_ = 0;
};

}  // namespace

value from_json(const nlohmann::ordered_json& x) {
  return from_json(x, max_value_depth);
}

std::string to_json(machine& m, const value& x, const json_style& style) {
  return json_writer(m, style).write(x);
}

}  // namespace llmos::jinja

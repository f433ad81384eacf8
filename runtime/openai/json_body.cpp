#include "runtime/openai/json_body.hpp"

#include <string>
#include <unordered_set>
#include <vector>

#include <nlohmann/json.hpp>

#include "runtime/base/result.hpp"

namespace llmos::openai {

namespace {

std::string no_json_at(size_t byte) {
  return "the body is no valid JSON at byte " + std::to_string(byte);
}

/// Builds the value as its text is read. The usual way looks for each name among those before it,
/// which a body of a million names turns into hours.
class value_builder : public json::json_sax_t {
public:
  bool null() override { return add(nullptr); }
  bool boolean(bool x) override { return add(x); }
  bool number_integer(number_integer_t x) override { return add(x); }
  bool number_unsigned(number_unsigned_t x) override { return add(x); }
  bool number_float(number_float_t x, const string_t&) override { return add(x); }
  bool string(string_t& x) override { return add(std::move(x)); }
  bool binary(binary_t&) override { return false; }

  bool start_object(size_t) override { return open(json::object()); }
  bool key(string_t& x) override {
    level& here = open_.back();
    if (!here.names.insert(x).second) {
      return refuse("the name '" + shortened(x) + "' stands twice in one object");
    }
    here.next = std::move(x);
    return true;
  }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(json::array()); }
  bool end_array() override { return close(); }

  bool parse_error(size_t at, const std::string&, const nlohmann::detail::exception& e) override {
    if (e.id == number_overflow) return refuse("a number in the body is too large");
    return refuse(no_json_at(at));
  }

  json take() { return std::move(root_); }
  const std::string& complaint() const { return complaint_; }

private:
  static constexpr int number_overflow = 406;

  struct level {
    json* value;
    std::unordered_set<std::string> names;
    std::string next;  // name of the value that comes
  };

  static std::string shortened(const std::string& x) {
    return x.size() <= 40 ? x : x.substr(0, 40) + "...";
  }

  bool refuse(std::string why) {
    if (complaint_.empty()) complaint_ = std::move(why);
    return false;
  }

  json* place(json x) {
    if (open_.empty()) return &(root_ = std::move(x));
    level& here = open_.back();
    if (here.value->is_array()) return &here.value->emplace_back(std::move(x));
    auto& fields = here.value->get_ref<json::object_t&>();
    fields.push_back({std::move(here.next), std::move(x)});
    return &fields.back().second;
  }

  bool add(json x) {
    if (++num_values_ > max_body_values) {
      return refuse("the body holds more than " + std::to_string(max_body_values) + " values");
    }
    place(std::move(x));
    return true;
  }

  bool open(json x) {
    if (open_.size() == max_body_depth) {
      return refuse("the body is nested deeper than " + std::to_string(max_body_depth) + " levels");
    }
    if (++num_values_ > max_body_values) return add(nullptr);
    open_.push_back({place(std::move(x)), {}, {}});
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  json root_;
  std::vector<level> open_;
  size_t num_values_ = 0;
  std::string complaint_;
};

api_error invalid_json(std::string message) {
  api_error out = invalid("", std::move(message));
  out.code = "invalid_json";
  return out;
}

}  // namespace

outcome<json> parse_body(std::string_view text) {
  // The parser takes a zero byte for the end of its input, whatever comes behind it.
  const size_t zero = text.find('\0');
  if (zero != text.npos) return invalid_json(no_json_at(zero + 1));
  value_builder builder;
  if (json::sax_parse(text, &builder)) return builder.take();
  return invalid_json(builder.complaint());
}

outcome<json> parse_object(std::string_view text) {
  LLMOS_TRY(auto body, parse_body(text));
  if (body.is_object()) return body;
  return invalid("", "the body has to be a JSON object");
}

}  // namespace llmos::openai

#include "runtime/config/yaml.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <sstream>
#include <unordered_set>

#include "runtime/base/read_file.hpp"
#include "runtime/base/utf8.hpp"
#include "runtime/gguf/printable.hpp"

namespace llmos {

namespace {

text_place place_of(const YAML::Mark& mark) {
  if (mark.is_null()) return {};
  return {static_cast<uint32_t>(mark.line) + 1, static_cast<uint32_t>(mark.column) + 1};
}

text_place place_of(std::string_view text, size_t offset) {
  const auto before = text.substr(0, offset);
  const auto line_start = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
  return {static_cast<uint32_t>(std::count(before.begin(), before.end(), '\n')) + 1,
          static_cast<uint32_t>(offset - line_start) + 1};
}

/// Builds the tree from yaml-cpp's events. The first thing we refuse is kept in `error` and the
/// rest of the events is ignored: yaml-cpp cannot be told to stop except by an exception.
class tree_builder : public YAML::EventHandler {
public:
  explicit tree_builder(std::string_view name) : name_(name) {}

  yaml_node root;
  std::optional<failure> error;

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++num_documents_ > 1) refuse(mark, "a second document", "keep one document per file");
  }
  void OnDocumentEnd() override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    refuse(mark, "aliases are not supported", "write the value out");
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    add(mark, yaml_node::kind::null, "");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    if (wants_key()) return add_key(mark, value);
    if (auto* node = add(mark, yaml_node::kind::scalar, tag)) {
      node->text = value;
      node->quoted = tag == "!";  // yaml-cpp's mark of a scalar that was not plain
    }
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(mark, yaml_node::kind::sequence, tag);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    open(mark, yaml_node::kind::map, tag);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

private:
  struct level {
    yaml_node* node;
    bool has_key = false;                  // of a map: the next value belongs to the last field
    std::unordered_set<std::string> keys;  // of a map
  };

  void refuse(const YAML::Mark& mark, const std::string& text, const std::string& hint) {
    if (!error) error = error_at(name_, place_of(mark), text, hint);
  }

  bool wants_key() const {
    return !levels_.empty() && levels_.back().node->type == yaml_node::kind::map &&
           !levels_.back().has_key;
  }

  void add_key(const YAML::Mark& mark, const std::string& key) {
    if (error) return;
    auto& top = levels_.back();
    if (!top.keys.insert(key).second) {
      return refuse(mark, "the key " + quote_short(key) + " stands here twice", "keep one of them");
    }
    top.has_key = true;
    top.node->fields.push_back({key, place_of(mark), {}});
    top.node->fields.back().value.place = place_of(mark);
  }

  /// A new value where the document stands, or nullptr when it or something before was refused.
  yaml_node* add(const YAML::Mark& mark, yaml_node::kind type, const std::string& tag) {
    if (wants_key()) refuse(mark, "a key must be plain text", "give the key a name");
    if (!tag.empty() && tag != "?" && tag != "!") {
      refuse(mark, "tags are not supported: " + quote_short(tag), "leave the tag out");
    }
    if (error) return nullptr;
    yaml_node& node = levels_.empty() ? root : slot(levels_.back());
    node.type = type;
    node.place = place_of(mark);
    return &node;
  }

  static yaml_node& slot(level& top) {
    if (top.node->type == yaml_node::kind::sequence) return top.node->items.emplace_back();
    top.has_key = false;
    return top.node->fields.back().value;
  }

  void open(const YAML::Mark& mark, yaml_node::kind type, const std::string& tag) {
    if (levels_.size() >= max_yaml_depth) {
      refuse(mark, "nested deeper than " + std::to_string(max_yaml_depth) + " levels",
             "flatten the file");
    }
    if (auto* node = add(mark, type, tag)) levels_.push_back({node, false, {}});
  }

  void close() {
    if (!error) levels_.pop_back();
  }

  std::string_view name_;
  std::vector<level> levels_;
  uint32_t num_documents_ = 0;
};

/// What yaml-cpp would misread: it takes byte 4 for the end of the file.
std::optional<failure> find_binary(std::string_view text, std::string_view name) {
  if (const auto bad = first_invalid_utf8(text)) {
    return error_at(name, place_of(text, *bad), "invalid UTF-8", "save the file as UTF-8");
  }
  const auto is_control = [](char c) {
    return (static_cast<uint8_t>(c) < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7f;
  };
  const auto it = std::find_if(text.begin(), text.end(), is_control);
  if (it == text.end()) return std::nullopt;
  return error_at(name, place_of(text, static_cast<size_t>(it - text.begin())),
                  "control byte " + std::to_string(static_cast<uint8_t>(*it)),
                  "write it as an escape inside double quotes");
}

}  // namespace

const yaml_node* yaml_node::find(std::string_view key) const {
  const auto it = std::find_if(fields.begin(), fields.end(),
                               [key](const yaml_field& f) { return f.key == key; });
  return it != fields.end() ? &it->value : nullptr;
}

std::string quote_short(std::string_view text) {
  return '"' + printable(text, 60) + '"';
}

std::string describe(const yaml_node& x) {
  switch (x.type) {
    case yaml_node::kind::null: return "nothing";
    case yaml_node::kind::sequence: return "a list";
    case yaml_node::kind::map: return "a map";
    case yaml_node::kind::scalar: break;
  }
  return x.quoted ? "the text " + quote_short(x.text) : quote_short(x.text);
}

failure error_at(std::string_view name, text_place place, std::string_view text, std::string hint) {
  return {ec::bad_file,
          std::string{name} + ":" + std::to_string(place.line) + ":" +
              std::to_string(place.column) + ": " + std::string{text},
          std::move(hint)};
}

result<std::string> read_yaml_file(const std::string& path, const std::string& mend) {
  auto text = read_file(path, max_yaml_bytes);
  if (text || text.error().code != ec::bad_file) return text;
  std::error_code unknown;  // the size of what is no regular file
  const auto bytes = std::filesystem::file_size(path, unknown);
  return failure{ec::bad_file,
                 path + " has " + (unknown ? "more" : std::to_string(bytes)) +
                     " bytes; a YAML file may have " + std::to_string(max_yaml_bytes),
                 mend};
}

result<yaml_node> parse_yaml(std::string_view text, std::string_view name) {
  if (auto binary = find_binary(text, name)) return *std::move(binary);
  // yaml-cpp takes an open quote for closed when the file ends with a line end: end with a comment.
  std::istringstream in{std::string{text} + (text.ends_with('\n') ? "#" : "")};
  tree_builder builder{name};
  try {  // the edge of yaml-cpp: its exceptions end here
    YAML::Parser parser{in};
    while (!builder.error && parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& e) {
    if (!builder.error) {
      const bool is_dash = e.msg == YAML::ErrorMsg::BLOCK_ENTRY;
      builder.error = error_at(name, place_of(e.mark), e.msg,
                               is_dash ? "a dash starts a list: if it is the value, write \"-\""
                                       : "check indentation, quotes and brackets here");
    }
  }
  if (builder.error) return *std::move(builder.error);
  return std::move(builder.root);
}

}  // namespace llmos

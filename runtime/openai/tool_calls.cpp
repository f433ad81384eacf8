#include "runtime/openai/tool_calls.hpp"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "runtime/openai/json_body.hpp"

namespace llmos::openai {

namespace {

constexpr std::string_view hermes_mark = "<tool_call>";
constexpr std::string_view hermes_end = "</tool_call>";
constexpr std::string_view mistral_mark = "[TOOL_CALLS]";
constexpr std::string_view llama3_mark = "<|python_tag|>";

/// White space before a mark goes with it, but a model may as well write line ends for ever.
constexpr size_t max_held_space = 64;

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/// Whether `text` may become `mark` when more comes.
bool may_become(std::string_view text, std::string_view mark) {
  return text.size() < mark.size() && mark.starts_with(text);
}

/// How many bytes at the end of `text` may be the start of `mark`.
size_t started(std::string_view text, std::string_view mark) {
  size_t n = std::min(text.size(), mark.size() - 1);
  while (n > 0 && !mark.starts_with(text.substr(text.size() - n))) --n;
  return n;
}

/// Steele, Lea, Flood 2014.
uint64_t splitmix64(uint64_t& state) {
  uint64_t x = state += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

tool_style tool_style_of(std::string_view source) {
  const auto has = [source](std::string_view x) { return source.find(x) != source.npos; };
  if (has(hermes_mark)) return tool_style::hermes;
  if (has(mistral_mark)) return tool_style::mistral;
  if (has("<function=")) return tool_style::none;  // like Llama's in all but the call itself
  const bool shows_call = has("\"parameters\": ") && has("<|start_header_id|>");
  return has(llama3_mark) || shows_call ? tool_style::llama3 : tool_style::none;
}

tool_call_parser::tool_call_parser(tool_parser_options options)
    : options_(std::move(options)), id_state_(options_.seed) {
  const bool is_whole =
      options_.style == tool_style::llama3 || options_.style == tool_style::mistral;
  phase_ = is_whole ? phase::lead : phase::text;
  if (options_.style == tool_style::none || options_.names.empty()) phase_ = phase::plain;
}

tool_output tool_call_parser::push(std::string_view text) {
  tool_output out;
  if (is_full()) return out;
  held_ += text;
  while (!is_full() && step(out, false)) continue;
  held_.erase(0, begin_);
  at_ -= begin_;
  for (size_t* x : {&mark_end_, &json_begin_, &json_end_}) *x -= std::min(*x, begin_);
  begin_ = 0;
  return out;
}

tool_output tool_call_parser::finish() {
  tool_output out;
  while (!is_full() && step(out, true)) continue;
  return out;
}

bool tool_call_parser::step(tool_output& out, bool is_end) {
  switch (phase_) {
    case phase::plain: return at_ = held_.size(), emit(at_, out), false;
    case phase::lead: return step_lead(is_end);
    case phase::whole: return step_whole(is_end);
    case phase::tail: return step_tail(out, is_end);
    case phase::text: return step_text(out, is_end);
    case phase::call: return step_call(out, is_end);
    case phase::end_mark: return step_end_mark(out, is_end);
  }
  return false;
}

bool tool_call_parser::step_lead(bool is_end) {
  skip_space();
  if (rest().empty()) return is_end && is_not_whole();
  const bool is_llama = options_.style == tool_style::llama3;
  if (is_llama && mark_end_ == 0) {
    if (may_become(rest(), llama3_mark)) return is_end && is_not_whole();
    if (rest().starts_with(llama3_mark)) {
      mark_end_ = at_ += llama3_mark.size();
      return true;
    }
  }
  if (rest()[0] != (is_llama ? '{' : '[')) return is_not_whole();
  phase_ = phase::whole;
  json_begin_ = at_;
  scanner_ = {};
  return true;
}

bool tool_call_parser::step_whole(bool is_end) {
  switch (scan()) {
    case json_scanner::status::open: return is_end && is_not_whole();
    case json_scanner::status::broken: return is_not_whole();
    case json_scanner::status::complete: break;
  }
  const size_t before = whole_.size();
  if (!read_calls(whole_)) return is_not_whole();
  const auto is_unknown = [this](const tool_call& x) { return !is_tool(x.name); };
  if (std::any_of(whole_.begin() + static_cast<ptrdiff_t>(before), whole_.end(), is_unknown)) {
    return is_not_whole();
  }
  phase_ = phase::tail;
  return true;
}

/// Llama may write several, with semicolons between.
bool tool_call_parser::step_tail(tool_output& out, bool is_end) {
  const bool is_llama = options_.style == tool_style::llama3;
  while (!rest().empty() && (is_space(held_[at_]) || (is_llama && held_[at_] == ';'))) ++at_;
  if (rest().empty()) {
    if (is_end) begin_ = at_, add(std::move(whole_), out), phase_ = phase::plain;
    return false;
  }
  if (!is_llama || held_[at_] != '{') return is_not_whole();
  phase_ = phase::whole;
  json_begin_ = at_;
  scanner_ = {};
  return true;
}

/// Nothing has come out so far: the text is read from its start in the other way.
bool tool_call_parser::is_not_whole() {
  whole_.clear();
  at_ = begin_;
  phase_ = options_.style == tool_style::mistral ? phase::text : phase::plain;
  return true;
}

bool tool_call_parser::step_text(tool_output& out, bool is_end) {
  const std::string_view mark = start_mark();
  if (drops_space_) {
    skip_space();
    begin_ = at_;
    if (rest().empty()) return false;
    drops_space_ = false;
  }
  const size_t found = held_.find(mark, at_ - std::min(at_ - begin_, mark.size() - 1));
  const bool is_found = found != std::string::npos;
  size_t end = is_found ? found : held_.size();
  if (!is_found && !is_end) end -= started(std::string_view{held_}.substr(begin_), mark);
  size_t kept = end;
  while ((is_found || !is_end) && kept > begin_ && end - kept < max_held_space &&
         is_space(held_[kept - 1])) {
    --kept;
  }
  at_ = held_.size();
  emit(kept, out);
  if (!is_found) return false;
  at_ = mark_end_ = found + mark.size();
  phase_ = phase::call;
  json_begin_ = 0;
  return true;
}

bool tool_call_parser::step_call(tool_output& out, bool is_end) {
  if (json_begin_ == 0) {
    skip_space();
    if (rest().empty()) return is_end && is_malformed(out);
    if (rest()[0] != (options_.style == tool_style::mistral ? '[' : '{')) return is_malformed(out);
    json_begin_ = at_;
    scanner_ = {};
  }
  switch (scan()) {
    case json_scanner::status::open: return is_end && is_malformed(out);
    case json_scanner::status::broken: return is_malformed(out);
    case json_scanner::status::complete: break;
  }
  if (options_.style == tool_style::mistral) return accept(out);
  phase_ = phase::end_mark;
  return true;
}

/// A model may end instead of closing its last call.
bool tool_call_parser::step_end_mark(tool_output& out, bool is_end) {
  skip_space();
  if (may_become(rest(), hermes_end)) {
    if (is_end) at_ = held_.size();
    return is_end && accept(out);
  }
  if (!rest().starts_with(hermes_end)) return is_malformed(out);
  at_ += hermes_end.size();
  return accept(out);
}

/// The mark was text; what stands behind it is looked at again.
bool tool_call_parser::is_malformed(tool_output& out) {
  at_ = mark_end_;
  emit(mark_end_, out);
  phase_ = phase::text;
  return true;
}

bool tool_call_parser::accept(tool_output& out) {
  std::vector<tool_call> calls;
  if (!read_calls(calls)) return is_malformed(out);
  begin_ = at_;
  add(std::move(calls), out);
  phase_ = phase::text;
  drops_space_ = true;
  return true;
}

json_scanner::status tool_call_parser::scan() {
  auto status = json_scanner::status::open;
  while (status == json_scanner::status::open && at_ < held_.size()) {
    status = scanner_.push(held_[at_++]);
  }
  json_end_ = at_;
  return status;
}

/// Appends the calls of the value that was scanned. False: it is something else.
bool tool_call_parser::read_calls(std::vector<tool_call>& out) const {
  const auto text = std::string_view{held_}.substr(json_begin_, json_end_ - json_begin_);
  if (options_.style != tool_style::mistral) return read_call(text, scanner_, out);
  for (const auto& item : scanner_.items()) {
    const auto element = item.value.of(text);
    json_scanner fields;
    if (element[0] != '{') return false;
    for (const char c : element) fields.push(c);
    if (!read_call(element, fields, out)) return false;
  }
  return !scanner_.items().empty();
}

/// The arguments stay as they were written: a number of twenty digits passes through no double.
bool tool_call_parser::read_call(std::string_view text, const json_scanner& fields,
                                 std::vector<tool_call>& out) const {
  if (!json::accept(text)) return false;
  const bool is_llama = options_.style == tool_style::llama3;
  tool_call call;
  for (const auto& item : fields.items()) {
    const auto key = item.key.of(text), value = item.value.of(text);
    if (key == "\"name\"") {
      const auto name = json::parse(value);
      if (!name.is_string() || !call.name.empty()) return false;
      call.name = name.get<std::string>();
    } else if (key == "\"arguments\"" || (is_llama && key == "\"parameters\"")) {
      if (value[0] != '{' || !call.arguments.empty()) return false;
      call.arguments = value;
    }
  }
  if (call.name.empty()) return false;
  if (call.arguments.empty()) call.arguments = "{}";
  out.push_back(std::move(call));
  return true;
}

bool tool_call_parser::is_tool(std::string_view name) const {
  return std::find(options_.names.begin(), options_.names.end(), name) != options_.names.end();
}

void tool_call_parser::add(std::vector<tool_call> calls, tool_output& out) {
  for (auto& call : calls) {
    if (is_full()) return;
    call.id = next_id();
    ++num_calls_;
    out.calls.push_back(std::move(call));
  }
}

/// Mistral's templates refuse ids that have not nine characters.
std::string tool_call_parser::next_id() {
  constexpr std::string_view digits =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const bool is_short = options_.style == tool_style::mistral;
  std::string out = is_short ? "" : "call_";
  for (int i = is_short ? 9 : 24; i > 0; --i) out += digits[splitmix64(id_state_) % digits.size()];
  return out;
}

void tool_call_parser::skip_space() {
  while (at_ < held_.size() && is_space(held_[at_])) ++at_;
}

std::string_view tool_call_parser::start_mark() const {
  return options_.style == tool_style::mistral ? mistral_mark : hermes_mark;
}

void tool_call_parser::emit(size_t end, tool_output& out) {
  if (end <= begin_) return;
  out.text.append(held_, begin_, end - begin_);
  begin_ = end;
}

}  // namespace llmos::openai

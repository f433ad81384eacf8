#include "runtime/openai/request.hpp"

#include <algorithm>
#include <iterator>

#include "runtime/base/nearest.hpp"
#include "runtime/base/result.hpp"
#include "runtime/openai/fields.hpp"
#include "runtime/openai/messages.hpp"

namespace llmos::openai {

namespace {

constexpr size_t max_field_name_bytes = 64;

/// Fields of OpenAI and its relatives that ask for what is not done here, and the value, if any,
/// which asks for nothing.
struct idle_field {
  std::string_view name;
  std::string_view idle;  // JSON; empty: none
  std::string_view mend;
};

constexpr idle_field idle_fields[] = {
    {"functions", "", "deprecated by OpenAI: send tools"},
    {"function_call", "", "deprecated by OpenAI: send tool_choice"},
    {"echo", "false", "leave it out or send false"},
    {"suffix", "", "leave it out"},
    {"store", "false", "leave it out or send false"},
    {"metadata", "{}", "leave it out"},
    {"modalities", R"(["text"])", R"(leave it out or send ["text"])"},
    {"service_tier", R"("auto")", "leave it out or send auto"},
    {"audio", "", "leave it out"},
    {"prediction", "", "leave it out"},
    {"reasoning_effort", "", "leave it out"},
    {"verbosity", "", "leave it out"},
    {"web_search_options", "", "leave it out"},
    {"prompt_cache_key", "", "leave it out: prefixes are found without it"},
    {"safety_identifier", "", "leave it out"},
    {"use_beam_search", "false", "leave it out or send false"},
    {"length_penalty", "1.0", "leave it out"},
    {"guided_json", "", "leave it out"},
    {"guided_regex", "", "leave it out"},
    {"guided_choice", "", "leave it out"},
    {"guided_grammar", "", "leave it out"},
    {"chat_template", "", "leave it out: the model's own is used"},
    {"chat_template_kwargs", "{}", "leave it out"},
    {"add_generation_prompt", "true", "leave it out or send true"},
    {"continue_final_message", "false", "leave it out or send false"},
    {"cache_salt", "", "leave it out: it follows from who asks"},
    {"return_token_ids", "false", "leave it out or send false"},
    {"prompt_logprobs", "", "leave it out"},
};

/// Reads the fields of one body one by one; what depends on several is looked at in the end.
class body_reader {
public:
  body_reader(endpoint where, const parse_options& options) : options_(options) {
    out_.where = where;
    base_.sampling = options.defaults;
    base_.sampling.max_tokens_asked = false;
  }

  outcome<completion_request> read(const json& body) {
    for (const auto& [name, value] : body.items()) {
      LLMOS_TRY_VOID(read_field(name, value));
    }
    LLMOS_TRY_VOID(check_sampling());
    LLMOS_TRY_VOID(finish_tools(body));
    LLMOS_TRY_VOID(make_prompts());
    if (out_.include_usage && !out_.stream) {
      return invalid("stream_options", "stream_options is for streams: send stream: true as well");
    }
    return std::move(out_);
  }

private:
  using reader = checked (body_reader::*)(const json&);
  struct field {
    std::string_view name;
    reader read;
  };

  bool is_chat() const { return out_.where == endpoint::chat; }

  const field* find_own(std::string_view name) const {
    static constexpr field both[] = {{"model", &body_reader::model},
                                     {"user", &body_reader::user},
                                     {"stream", &body_reader::stream},
                                     {"stream_options", &body_reader::stream_options},
                                     {"n", &body_reader::n},
                                     {"priority", &body_reader::priority},
                                     {"response_format", &body_reader::response_format}};
    static constexpr field chat[] = {{"messages", &body_reader::messages},
                                     {"tools", &body_reader::tools},
                                     {"tool_choice", &body_reader::later},  // needs the tools
                                     {"parallel_tool_calls", &body_reader::parallel_tool_calls},
                                     {"max_completion_tokens", &body_reader::max_tokens},
                                     {"max_tokens", &body_reader::max_tokens}};
    static constexpr field completions[] = {{"prompt", &body_reader::prompt},
                                            {"logprobs", &body_reader::num_logprobs},
                                            {"best_of", &body_reader::best_of}};
    const auto in = [name](const auto& table) -> const field* {
      const auto it = std::find_if(std::begin(table), std::end(table),
                                   [name](const field& f) { return f.name == name; });
      return it == std::end(table) ? nullptr : it;
    };
    if (const field* f = in(both)) return f;
    return is_chat() ? in(chat) : in(completions);
  }

  checked read_field(const std::string& name, const json& value) {
    if (const field* f = find_own(name))
      return value.is_null() ? checked{fine} : (this->*f->read)(value);
    const auto idle = std::find_if(std::begin(idle_fields), std::end(idle_fields),
                                   [&](const idle_field& f) { return f.name == name; });
    if (idle != std::end(idle_fields)) return check_idle(*idle, value);
    const auto keys = keys_of(base_.sampling);
    const auto key =
        std::find_if(keys.begin(), keys.end(), [&](const config_key& k) { return k.name == name; });
    const bool is_chats = name == "top_logprobs";
    if (key == keys.end() || (is_chats && !is_chat())) return unknown(name);
    return value.is_null() ? checked{fine} : assign_json(*key, value);
  }

  static checked check_idle(const idle_field& f, const json& value) {
    if (value.is_null()) return fine;
    if (!f.idle.empty() && value == json::parse(f.idle)) return fine;
    const std::string name{f.name};
    return unsupported(name, name + " is not supported; " + std::string{f.mend});
  }

  checked unknown(const std::string& name) {
    const std::string shown = name.substr(0, max_field_name_bytes);
    std::string text = "unknown field '" + shown + "'";
    std::vector<std::string> known = {"model", "stream", "stream_options", "n", "user", "priority"};
    for (const auto& key : keys_of(base_.sampling)) {
      if (key.name != shown) known.push_back(key.name);
    }
    if (is_chat()) {
      known.insert(known.end(), {"messages", "tools", "tool_choice", "max_completion_tokens"});
    } else {
      known.push_back("prompt");
    }
    if (const auto near = nearest_name(shown, known)) text += "; did you mean " + *near + "?";
    api_error out = invalid(shown, text);
    out.code = "unknown_field";
    return out;
  }

  checked model(const json& x) {
    LLMOS_TRY(out_.model, read_text(x, "model"));
    return fine;
  }
  checked user(const json& x) {
    LLMOS_TRY(out_.user, read_text(x, "user"));
    return fine;
  }
  checked stream(const json& x) {
    LLMOS_TRY(out_.stream, read_bool(x, "stream"));
    return fine;
  }
  checked n(const json& x) {
    LLMOS_TRY(out_.n, read_whole(x, "n", 1, options_.max_n));
    return fine;
  }
  checked parallel_tool_calls(const json& x) {
    LLMOS_TRY(out_.parallel_tool_calls, read_bool(x, "parallel_tool_calls"));
    return fine;
  }
  checked messages(const json& x) {
    LLMOS_TRY(base_.messages, read_messages(x));
    return fine;
  }
  checked tools(const json& x) {
    LLMOS_TRY(base_.tools, read_tools(x));
    return fine;
  }
  checked later(const json&) { return fine; }

  checked stream_options(const json& x) {
    if (!x.is_object()) return wrong_type("stream_options", "an object", x);
    for (const auto& [name, value] : x.items()) {
      const std::string path = "stream_options." + name.substr(0, max_field_name_bytes);
      if (value.is_null()) continue;
      if (name != "include_usage") return unsupported(path, path + " is not supported");
      LLMOS_TRY(out_.include_usage, read_bool(value, path));
    }
    return fine;
  }

  checked priority(const json& x) { return assign_json(priority_key(base_.priority), x); }

  checked response_format(const json& x) {
    if (!x.is_object()) return wrong_type("response_format", "an object", x);
    if (x == json::object({{"type", "text"}})) return fine;
    return unsupported("response_format",
                       R"(response_format is not supported; allowed: {"type": "text"})");
  }

  /// Two names of one value; `max_tokens` is the older one.
  checked max_tokens(const json& x) {
    const bool was_given = base_.sampling.max_tokens_asked;
    const auto before = base_.sampling.max_tokens;
    const auto keys = keys_of(base_.sampling);
    LLMOS_TRY_VOID(
        assign_json(*std::find_if(keys.begin(), keys.end(),
                                  [](const config_key& k) { return k.name == "max_tokens"; }),
                    x));
    if (!was_given || before == base_.sampling.max_tokens) return fine;
    return invalid("max_tokens", "max_tokens and max_completion_tokens differ; send one");
  }

  checked num_logprobs(const json& x) {
    LLMOS_TRY(base_.sampling.top_logprobs, read_whole(x, "logprobs", 0, 5));
    base_.sampling.logprobs = true;
    return fine;
  }

  checked best_of(const json& x) {
    LLMOS_TRY(best_of_, read_whole(x, "best_of", 1, options_.max_n));
    return fine;
  }

  checked prompt(const json& x) {
    if (x.is_string()) {
      texts_ = {x.get<std::string>()};
      return fine;
    }
    if (!x.is_array()) return wrong_type("prompt", "a text or a list of texts", x);
    if (x.empty()) return invalid("prompt", "prompt is an empty list");
    for (const auto& text : x) {
      if (text.is_number() || text.is_array()) {
        return unsupported("prompt", "prompt: token ids are not supported; send texts");
      }
      if (!text.is_string()) return wrong_type("prompt", "a text or a list of texts", text);
      texts_.push_back(text.get<std::string>());
    }
    return fine;
  }

  checked check_sampling() const {
    const sampling_params& p = base_.sampling;
    if (p.top_logprobs > 0 && !p.logprobs) {
      return invalid("top_logprobs", "top_logprobs is for logprobs: true; send that as well");
    }
    if (p.min_tokens > p.max_tokens) {
      return invalid("min_tokens", "min_tokens is " + std::to_string(p.min_tokens) +
                                       ", more than max_tokens, " + std::to_string(p.max_tokens));
    }
    if (best_of_ != 0 && best_of_ != out_.n) {
      return unsupported("best_of", "best_of is not supported; leave it out or send what n is");
    }
    return fine;
  }

  checked finish_tools(const json& body) {
    if (!is_chat()) return fine;
    if (const json* choice = find_given(body, "tool_choice")) {
      LLMOS_TRY(out_.tool_use, read_tool_choice(*choice, base_.tools));
    }
    using kind = tool_choice::kind;
    if (out_.tool_use.what == kind::none) base_.tools = nullptr;
    if (out_.tool_use.what == kind::function) {
      auto& all = base_.tools.get_ref<json::array_t&>();
      std::erase_if(all, [&](const json& t) {
        return t.at("function").at("name") != out_.tool_use.function;
      });
    }
    out_.tool_names = names_of_tools(base_.tools);
    return fine;
  }

  checked make_prompts() {
    base_.model = out_.model;
    if (is_chat()) {
      if (base_.messages.is_null()) return invalid("messages", "messages is missing");
      out_.prompts.push_back(std::move(base_));
      return fine;
    }
    if (texts_.empty()) return invalid("prompt", "prompt is missing");
    if (texts_.size() * out_.n > options_.max_choices) {
      return invalid("prompt", std::to_string(texts_.size()) + " prompts times n " +
                                   std::to_string(out_.n) + " are more than " +
                                   std::to_string(options_.max_choices) + " answers");
    }
    for (auto& text : texts_) {
      out_.prompts.push_back(base_);
      out_.prompts.back().prompt = std::move(text);
    }
    return fine;
  }

  const parse_options& options_;
  completion_request out_;
  generate_request base_;
  std::vector<std::string> texts_;
  uint32_t best_of_ = 0;
};

}  // namespace

generate_request completion_request::choice(size_t index) const {
  generate_request out = prompts.at(index / n);
  if (out.sampling.seed) *out.sampling.seed += index % n;
  return out;
}

outcome<completion_request> parse_completion_request(endpoint where, std::string_view body,
                                                     const parse_options& options) {
  LLMOS_TRY(const auto parsed, parse_object(body));
  return body_reader{where, options}.read(parsed);
}

checked check_token_ids(const completion_request& x, uint32_t size) {
  const auto check = [size](const char* field, token_id id) -> checked {
    if (id >= 0 && static_cast<uint32_t>(id) < size) return fine;
    return invalid(field, "token id " + std::to_string(id) + " in " + field +
                              " is not one of the model's, 0 to " + std::to_string(size - 1));
  };
  const sampling_params& all = x.prompts.front().sampling;
  for (const auto& [id, bias] : all.logit_bias) LLMOS_TRY_VOID(check("logit_bias", id));
  for (const token_id id : all.stop_token_ids) LLMOS_TRY_VOID(check("stop_token_ids", id));
  return fine;
}

}  // namespace llmos::openai

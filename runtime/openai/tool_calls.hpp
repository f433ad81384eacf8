#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/openai/json_scanner.hpp"

namespace llmos::openai {

/// How a model writes the calls of tools into its text.
enum class tool_style : uint8_t {
  none,     ///< Not at all, or in a way that is not known here.
  hermes,   ///< <tool_call>{"name", "arguments"}</tool_call>, several. Qwen 2.5 and 3, Hermes.
  llama3,   ///< The whole text is {"name", "parameters"}, perhaps behind <|python_tag|>.
  mistral,  ///< [TOOL_CALLS] [{"name", "arguments"}, …], or the whole text is that list.
};

/// The style that a chat template teaches its model.
tool_style tool_style_of(std::string_view template_source);

struct tool_call {
  std::string id;
  std::string name;
  std::string arguments;  ///< A JSON object as the model wrote it.

  friend bool operator==(const tool_call&, const tool_call&) = default;
};

/// What became sure with a piece of the model's text.
struct tool_output {
  std::string text;
  std::vector<tool_call> calls;
};

struct tool_parser_options {
  tool_style style = tool_style::none;
  std::vector<std::string> names;   ///< Of the tools that the model was told of.
  uint64_t seed = 0;                ///< Of the ids of calls: random, another one for each choice.
  uint32_t max_calls = UINT32_MAX;  ///< At least 1; 1 where parallel_tool_calls is false.
};

/// Parts a model's text into text and calls while it is being written. Held back is only what may
/// still become a call, and white space that may stand before one. What does not become a call
/// comes out as text, as it was written; white space around calls is dropped. However the text is
/// cut into pieces, all outputs together are the same. Linear in the text.
///
/// Text that is a whole JSON value without a mark is a call only where its name is a tool's: it may
/// as well be the answer. Behind `max_calls` calls everything is dropped: the client wants no more.
class tool_call_parser {
public:
  explicit tool_call_parser(tool_parser_options options);

  tool_output push(std::string_view text);
  /// What is left when the text has ended. REQUIRES: called once, last.
  tool_output finish();

  /// max_calls are reached: more text changes nothing, so the generation may end.
  bool is_full() const { return num_calls_ >= options_.max_calls; }

private:
  enum class phase : uint8_t {
    plain,     // everything is text
    lead,      // the text may be a whole call: white space and <|python_tag|> before it
    whole,     // within such a call
    tail,      // behind one
    text,      // looks for a mark
    call,      // behind a mark
    end_mark,  // behind the JSON of a call
  };

  // Each does a step and says whether another one can be done.
  bool step(tool_output& out, bool is_end);
  bool step_lead(bool is_end);
  bool step_whole(bool is_end);
  bool step_tail(tool_output& out, bool is_end);
  bool step_text(tool_output& out, bool is_end);
  bool step_call(tool_output& out, bool is_end);
  bool step_end_mark(tool_output& out, bool is_end);

  bool is_not_whole();
  bool is_malformed(tool_output& out);
  bool accept(tool_output& out);
  json_scanner::status scan();
  bool read_calls(std::vector<tool_call>& out) const;
  bool read_call(std::string_view text, const json_scanner& fields,
                 std::vector<tool_call>& out) const;
  bool is_tool(std::string_view name) const;
  void add(std::vector<tool_call> calls, tool_output& out);
  std::string next_id();
  void skip_space();
  std::string_view rest() const { return std::string_view{held_}.substr(at_); }
  std::string_view start_mark() const;
  void emit(size_t end, tool_output& out);

  tool_parser_options options_;
  phase phase_;
  std::string held_;       // the text from begin_ on has not come out
  size_t begin_ = 0;       // never behind at_
  size_t at_ = 0;          // looked at up to here
  size_t mark_end_ = 0;    // of the mark before a call
  size_t json_begin_ = 0;  // of the value of a call; 0 behind a mark: it has not begun
  size_t json_end_ = 0;
  json_scanner scanner_;
  std::vector<tool_call> whole_;  // calls that count if the whole text is calls
  bool drops_space_ = false;      // behind a call
  uint32_t num_calls_ = 0;
  uint64_t id_state_;
};

}  // namespace llmos::openai

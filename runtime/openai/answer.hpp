#pragma once

#include <string>
#include <vector>

#include "runtime/openai/response.hpp"

namespace llmos::openai {

/// The answer to one completion request while its choices are being generated: what goes to the
/// client, and when. A stream gets it as it comes; otherwise everything comes from finish().
///
///   begin ──▶ add*, end for each choice, in any order among them ──▶ finish
class answer {
public:
  /// `parser`: how the model writes calls of tools; each choice has its own seed of it.
  answer(completion_request request, response_head head, const tool_parser_options& parser,
         token_bytes bytes);

  std::string begin() const;
  std::string add(size_t choice, const text_chunk& x);
  std::string end(size_t choice, const generation_done& x);
  /// REQUIRES: has_ended().
  std::string finish() const;

  /// More of that choice changes nothing: its generation may be cancelled.
  bool is_full(size_t choice) const { return choices_[choice].parser.is_full(); }
  bool has_ended() const { return num_ended_ == choices_.size(); }
  /// Whether the choices did what tool_choice asked for. Errors: 500.
  checked verdict() const;

  const completion_request& request() const { return request_; }
  const response_head& head() const { return head_; }

private:
  struct part {
    tool_call_parser parser;
    choice_result result;
    size_t text_offset = 0;
    uint32_t num_told = 0;  ///< Calls that the client was told of.
  };
  std::string tell(size_t choice, const tool_output& fresh, std::span<const sampled_token> tokens);

  completion_request request_;
  response_head head_;
  token_bytes bytes_;
  std::vector<part> choices_;
  usage_counts usage_;
  size_t num_ended_ = 0;
};

}  // namespace llmos::openai

#include "runtime/openai/answer.hpp"

#include <utility>

namespace llmos::openai {

answer::answer(completion_request request, response_head head, const tool_parser_options& parser,
               token_bytes bytes)
    : request_(std::move(request)), head_(std::move(head)), bytes_(std::move(bytes)) {
  choices_.reserve(request_.num_choices());
  for (size_t i = 0; i < request_.num_choices(); ++i) {
    tool_parser_options own = parser;
    own.seed += i;
    choices_.push_back({tool_call_parser(std::move(own)), {}, 0, 0});
  }
}

std::string answer::begin() const {
  std::string out;
  if (!request_.stream || request_.where != endpoint::chat) return out;
  for (uint32_t i = 0; i < choices_.size(); ++i) out += role_event(head_, i);
  return out;
}

std::string answer::add(size_t choice, const text_chunk& x) {
  return tell(choice, choices_[choice].parser.push(x.text), x.tokens);
}

std::string answer::tell(size_t choice, const tool_output& fresh,
                         std::span<const sampled_token> tokens) {
  part& mine = choices_[choice];
  auto& result = mine.result;
  result.text += fresh.text;
  result.calls.insert(result.calls.end(), fresh.calls.begin(), fresh.calls.end());
  if (!request_.stream) {
    result.tokens.insert(result.tokens.end(), tokens.begin(), tokens.end());
    return "";
  }
  if (!request_.logprobs()) tokens = {};
  if (fresh.text.empty() && fresh.calls.empty() && tokens.empty()) return "";
  const choice_delta delta{fresh.text, fresh.calls, mine.num_told, tokens};
  mine.num_told += static_cast<uint32_t>(fresh.calls.size());
  return chunk_event(head_, static_cast<uint32_t>(choice), delta,
                     request_.logprobs() ? &mine.text_offset : nullptr, bytes_);
}

std::string answer::end(size_t choice, const generation_done& x) {
  part& mine = choices_[choice];
  std::string out = tell(choice, mine.parser.finish(), {});
  // A choice that has all its calls was cancelled for that.
  const bool was_full = mine.parser.is_full() && x.reason == finish_reason::cancelled;
  mine.result.reason = was_full ? finish_reason::stop : x.reason;
  usage_.add(x.usage, choice % request_.n == 0);
  ++num_ended_;
  if (request_.stream) {
    out += finish_event(head_, static_cast<uint32_t>(choice), mine.result.reason,
                        !mine.result.calls.empty());
  }
  return out;
}

std::string answer::finish() const {
  if (request_.stream) {
    return (request_.include_usage ? usage_event(head_, usage_) : "") + std::string(done_event);
  }
  std::vector<choice_result> all;
  for (const part& p : choices_) all.push_back(p.result);
  return render_completion(head_, all, usage_, request_.logprobs(), bytes_);
}

checked answer::verdict() const {
  for (const part& p : choices_) {
    LLMOS_TRY(const auto did, check_tool_choice(request_.tool_use, p.result.calls));
    static_cast<void>(did);
  }
  return fine;
}

}  // namespace llmos::openai

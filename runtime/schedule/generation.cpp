#include "runtime/schedule/generation.hpp"

#include <utility>

namespace llmos {

generation::generation(spec_ptr spec, std::shared_ptr<const tokenizer> vocabulary)
    : spec_(std::move(spec)), decoder_(std::move(vocabulary)), stops_(spec_->sampling.stop) {}

generation_update generation::accept(const token_event& event) {
  generation_update update;
  update.chunk.id = spec_->id;
  if (event.index < tokens_.size()) return update;
  if (event.index > tokens_.size()) {
    update.what = generation_update::kind::gap;
    return update;
  }
  if (tokens_.empty()) num_cached_ = event.num_cached;
  if (event.token.id >= 0) add_text(update, event);
  if (update.what == generation_update::kind::finished) return update;
  if (event.stop == stop_reason::none) {
    const bool something = !update.chunk.text.empty() || !update.chunk.tokens.empty();
    if (something) update.what = generation_update::kind::text;
  } else {
    finish(update, event.stop == stop_reason::length ? finish_reason::length : finish_reason::stop);
  }
  return update;
}

void generation::add_text(generation_update& update, const token_event& event) {
  tokens_.push_back(event.token.id);
  if (spec_->sampling.logprobs) update.chunk.tokens.push_back(event.token);
  if (event.stop == stop_reason::end_token) return;  // an end token has no text
  update.chunk.text = stops_.push(decoder_.push(event.token.id));
  if (!stops_.matched()) return;
  stop_string_ = *stops_.matched();
  update.what = generation_update::kind::finished;
  update.reason = finish_reason::stop;
  update.engine_runs = event.stop == stop_reason::none;
}

void generation::finish(generation_update& update, finish_reason reason) {
  update.what = generation_update::kind::finished;
  update.reason = reason;
  update.chunk.text += stops_.push(decoder_.flush());
  update.chunk.text += stops_.flush();
  if (!stops_.matched()) return;
  stop_string_ = *stops_.matched();
  update.reason = finish_reason::stop;
}

spec_ptr generation::continuation() const {
  auto next = std::make_shared<sequence_spec>(*spec_);
  next->tokens.resize(spec_->num_prompt);
  next->tokens.insert(next->tokens.end(), tokens_.begin(), tokens_.end());
  return next;
}

}  // namespace llmos

#include <utility>

#include "runtime/text/tokenizer.hpp"
#include "runtime/text/unicode.hpp"

namespace llmos {

stream_decoder::stream_decoder(std::shared_ptr<const tokenizer> t, bool render_special,
                               bool from_start)
    : tokenizer_{std::move(t)},
      render_special_{render_special},
      drops_space_{from_start && tokenizer_->adds_space_after(std::nullopt)} {}

std::string stream_decoder::push(token_id id) {
  const size_t at = pending_.size();
  tokenizer_->append_piece(id, pending_, render_special_);
  const bool special = tokenizer_->adds_space_after(id);
  if (drops_space_ && !special && pending_.size() > at && pending_[at] == ' ')
    pending_.erase(at, 1);
  drops_space_ = special;

  std::string out;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const auto step = read_utf8(rest);
    if (step.incomplete) break;
    append_utf8(step.code_point, out);
    rest.remove_prefix(step.length);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return out;
}

std::string stream_decoder::flush() {
  std::string out;
  if (!pending_.empty()) append_utf8(0xFFFD, out);  // what waits is one incomplete character
  pending_.clear();
  return out;
}

}  // namespace llmos

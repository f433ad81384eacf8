#include "actors/gateway/batch/console.hpp"

#include <utility>

#include "runtime/gguf/printable.hpp"
#include "runtime/jobs/job_output.hpp"

namespace llmos {

namespace {

constexpr size_t max_question_bytes = 100;

/// What the item asked, on one line.
std::string question_of(const job_item& item) {
  const auto& messages = item.request.messages;
  if (messages.empty()) return printable(item.request.prompt, max_question_bytes);
  return printable(messages.back()["content"].get_ref<const std::string&>(), max_question_bytes);
}

std::string answer_text(const job_item& item, const outcome& x) {
  std::string out = "[" + item.id + "] " + question_of(item) + "\n";
  if (x.done) {
    out += x.text.substr(0, x.text.find_last_not_of(" \n") + 1);
    if (x.done->reason == finish_reason::length) out += " […]";
  } else {
    out += "failed: " + x.error.text;
    if (!x.error.hint.empty()) out += " (" + x.error.hint + ")";
  }
  return out + "\n\n";
}

}  // namespace

batch_console::batch_console(std::shared_ptr<const batch_job> job, const std::vector<bool>& is_done,
                             console_io io)
    : job_(std::move(job)), is_done_(is_done), io_(std::move(io)), meter_(io_.is_terminal) {
  is_done_.resize(job_->items.size());
}

result<void> batch_console::on_ended(const ended_item& item) {
  const auto& asked = job_->items[item.index];
  if (io_.log) io_.log(asked, item.what);
  if (io_.write_line) {
    LLMOS_TRY_VOID(io_.write_line(output_line(asked, item.index, item.what)));
  }
  if (!io_.print) return {};
  held_back_[item.index] = answer_text(asked, item.what);
  return print_in_order();
}

result<void> batch_console::print_in_order() {
  for (;;) {
    while (next_to_print_ < is_done_.size() && is_done_[next_to_print_]) ++next_to_print_;
    const auto it = held_back_.find(next_to_print_);
    if (it == held_back_.end()) return {};
    io_.show_progress(meter_.clear());
    LLMOS_TRY_VOID(io_.print(it->second));
    held_back_.erase(it);
    ++next_to_print_;
  }
}

void batch_console::on_progress(const job_counts& counts) {
  const auto text = meter_.update(counts, io_.elapsed_ms());
  if (!text.empty()) io_.show_progress(text);
}

void batch_console::on_finished(const job_counts& counts, const failure& why) {
  io_.show_progress(meter_.clear());
  // A stopped job leaves gaps: what waited behind one is printed now.
  for (const auto& [index, text] : held_back_) {
    if (io_.print && why.code == ec::none && !io_.print(text)) break;
  }
  io_.finished(counts, why);
}

}  // namespace llmos

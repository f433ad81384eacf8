#include "runtime/jobs/csv.hpp"

#include <utility>

namespace llmos {

namespace {

/// Walks the text once; `line_` and `line_start_` follow it for error texts.
class csv_reader {
public:
  csv_reader(std::string_view text, std::string_view name) : text_(text), name_(name) {
    if (text_.starts_with("\xef\xbb\xbf")) text_.remove_prefix(3);
  }

  result<std::vector<csv_row>> read() {
    std::vector<csv_row> rows;
    while (at_ < text_.size()) {
      if (skip_line_end()) continue;
      LLMOS_TRY(rows.emplace_back(), read_row());
    }
    return rows;
  }

private:
  result<csv_row> read_row() {
    csv_row row{line_, {}, {}};
    for (;;) {
      row.places.push_back(place());
      LLMOS_TRY(row.fields.emplace_back(), peek() == '"' ? read_quoted() : read_plain());
      if (at_ == text_.size() || skip_line_end()) return row;
      ++at_;  // both readers stop only at the end, a line end or a comma
    }
  }

  result<std::string> read_plain() {
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != ',' && !at_line_end()) {
      if (text_[at_] == '"') {
        return complain(place(), "a quote inside a field that does not start with one",
                        "quote the whole field and double the quotes in it");
      }
      ++at_;
    }
    return std::string{text_.substr(begin, at_ - begin)};
  }

  result<std::string> read_quoted() {
    const auto opened = place();
    std::string out;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') {
        ++at_;
        if (peek() != '"') return after_quoted(std::move(out));
      } else if (text_[at_] == '\n') {
        ++line_;
        line_start_ = at_ + 1;
      }
      out += text_[at_];
    }
    return complain(opened, "a quoted field that never ends", "close it with a quote");
  }

  result<std::string> after_quoted(std::string field) {
    if (at_ == text_.size() || text_[at_] == ',' || at_line_end()) return field;
    return complain(place(), "text after a quoted field", "put a comma or a line end after it");
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  bool at_line_end() const {
    return text_[at_] == '\n' || text_.substr(at_, 2) == "\r\n" || text_.substr(at_) == "\r";
  }

  bool skip_line_end() {
    if (!at_line_end()) return false;
    at_ += text_[at_] == '\r' && at_ + 1 < text_.size() ? 2 : 1;
    ++line_;
    line_start_ = at_;
    return true;
  }

  text_place place() const { return {line_, static_cast<uint32_t>(at_ - line_start_) + 1}; }

  failure complain(text_place where, std::string_view what, std::string hint) const {
    return error_at(name_, where, what, std::move(hint));
  }

  std::string_view text_;
  std::string_view name_;
  size_t at_ = 0;
  uint32_t line_ = 1;
  size_t line_start_ = 0;
};

}  // namespace

result<std::vector<csv_row>> parse_csv(std::string_view text, std::string_view name) {
  return csv_reader{text, name}.read();
}

}  // namespace llmos

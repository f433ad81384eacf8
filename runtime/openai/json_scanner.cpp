#include "runtime/openai/json_scanner.hpp"

#include "runtime/openai/json_body.hpp"

namespace llmos::openai {

namespace {

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

bool starts_word(char c) {
  return c == '-' || (c >= '0' && c <= '9') || c == 't' || c == 'f' || c == 'n';
}

bool goes_on_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == 'E' || c == '+' || c == '-' ||
         c == '.';
}

}  // namespace

json_scanner::status json_scanner::push(char c) {
  const status out = start(c);
  ++at_;
  return out;
}

json_scanner::status json_scanner::start(char c) {
  if (expect_ == expect::text) return within_text(c);
  if (expect_ == expect::word) {
    if (goes_on_word(c)) return status::open;
    end_value(at_);
  }
  if (is_space(c) && expect_ != expect::container) return status::open;
  switch (expect_) {
    case expect::container: return c == '{' || c == '[' ? open(c) : status::broken;
    case expect::first_value:
      if (c == ']') return close(c);
      return start_value(c);
    case expect::value: return start_value(c);
    case expect::first_key:
      if (c == '}') return close(c);
      return start_key(c);
    case expect::key: return start_key(c);
    case expect::colon: expect_ = expect::value; return c == ':' ? status::open : status::broken;
    default: return next(c);
  }
}

json_scanner::status json_scanner::start_value(char c) {
  if (open_.size() == 1) {
    if (open_[0] == '[') items_.emplace_back();
    items_.back().value.begin = at_;
  }
  if (c == '{' || c == '[') return open(c);
  if (c == '"') {
    expect_ = expect::text;
    is_key_ = false;
    return status::open;
  }
  expect_ = expect::word;
  return starts_word(c) ? status::open : status::broken;
}

json_scanner::status json_scanner::start_key(char c) {
  if (c != '"') return status::broken;
  if (open_.size() == 1) items_.emplace_back().key.begin = at_;
  expect_ = expect::text;
  is_key_ = true;
  return status::open;
}

json_scanner::status json_scanner::within_text(char c) {
  if (static_cast<uint8_t>(c) < 0x20) return status::broken;
  if (is_escaped_) {
    is_escaped_ = false;
  } else if (c == '\\') {
    is_escaped_ = true;
  } else if (c == '"' && is_key_) {
    if (open_.size() == 1) items_.back().key.end = at_ + 1;
    expect_ = expect::colon;
  } else if (c == '"') {
    end_value(at_ + 1);
  }
  return status::open;
}

json_scanner::status json_scanner::next(char c) {
  if (c != ',') return close(c);
  expect_ = open_.back() == '{' ? expect::key : expect::value;
  return status::open;
}

json_scanner::status json_scanner::open(char c) {
  if (open_.size() == max_body_depth) return status::broken;
  open_.push_back(c);
  expect_ = c == '{' ? expect::first_key : expect::first_value;
  return status::open;
}

json_scanner::status json_scanner::close(char c) {
  if (c != (open_.back() == '{' ? '}' : ']')) return status::broken;
  open_.pop_back();
  if (open_.empty()) return status::complete;
  end_value(at_ + 1);
  return status::open;
}

void json_scanner::end_value(size_t at) {
  if (open_.size() == 1) items_.back().value.end = at;
  expect_ = expect::next;
}

}  // namespace llmos::openai

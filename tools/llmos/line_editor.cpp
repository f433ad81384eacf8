#include "tools/llmos/line_editor.hpp"

#include <langinfo.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "runtime/base/check.hpp"
#include "runtime/base/utf8.hpp"
#include "tools/llmos/output.hpp"

namespace llmos {

namespace {

// A byte that is no UTF-8 travels through libedit as a lone surrogate and comes out as it was: the
// shell then refuses the line and says where.
constexpr wchar_t bad_byte = 0xdc00;
constexpr size_t max_shown_options = 100;

void set_utf8_locale() {
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(::nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
}

wchar_t decode(std::string_view character) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 1) return byte(0);
  wchar_t out = byte(0) & (0xff >> (character.size() + 1));
  for (size_t i = 1; i < character.size(); ++i) out = (out << 6) | (byte(i) & 0x3f);
  return out;
}

void encode(wchar_t c, std::string& out) {
  const auto x = static_cast<uint32_t>(c);
  const auto put = [&out](uint32_t byte) { out += static_cast<char>(byte); };
  if ((x & ~0xffu) == static_cast<uint32_t>(bad_byte)) return put(x & 0xff);
  if (x < 0x80) return put(x);
  if (x < 0x800) {
    put(0xc0 | (x >> 6));
  } else {
    x < 0x10000 ? put(0xe0 | (x >> 12)) : (put(0xf0 | (x >> 18)), put(0x80 | ((x >> 12) & 0x3f)));
    put(0x80 | ((x >> 6) & 0x3f));
  }
  put(0x80 | (x & 0x3f));
}

std::string narrow(const wchar_t* begin, const wchar_t* end) {
  std::string out;
  for (; begin != end; ++begin) encode(*begin, out);
  return out;
}

std::wstring widen(std::string_view text) {
  std::wstring out;
  while (!text.empty()) {
    const auto n = utf8_char_length(text);
    out += n != 0 ? decode(text.substr(0, n)) : bad_byte + static_cast<unsigned char>(text[0]);
    text.remove_prefix(n != 0 ? n : 1);
  }
  return out;
}

/// Bytes of the character that `first` begins, 1 for one that begins none.
size_t expected_length(char first) {
  const auto c = static_cast<unsigned char>(first);
  return c < 0xc2 || c > 0xf4 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

}  // namespace

line_editor::line_editor(interrupts& signals, completion_sources sources, history_file history)
    : signals_(signals), sources_(std::move(sources)), file_(std::move(history)) {
  set_utf8_locale();
  history_ = ::history_winit();
  el_ = ::el_init("llmos", stdin, stdout, stderr);
  LLMOS_CHECK(history_ != nullptr && el_ != nullptr);
  const char* term = std::getenv("TERM");
  is_dumb_ = term == nullptr || *term == '\0' || std::strcmp(term, "dumb") == 0;
  set_up();
  load_history();
}

line_editor::~line_editor() {
  ::el_end(el_);
  ::history_wend(history_);
}

void line_editor::set_up() {
  ::el_wset(el_, EL_CLIENTDATA, this);
  ::el_wset(el_, EL_PROMPT, prompt);
  ::el_wset(el_, EL_EDITOR, L"emacs");
  ::el_wset(el_, EL_SIGNAL, 0);
  ::el_wset(el_, EL_GETCFN, read_character);
  ::el_wset(el_, EL_HIST, ::history_w, history_);
  ::el_wset(el_, EL_ADDFN, L"llmos-complete", L"Complete a command", complete_word);
  ::el_wset(el_, EL_ADDFN, L"llmos-paste", L"Insert a paste", paste);
  ::el_source(el_, nullptr);  // ~/.editrc: a person's own keys
  ::el_wset(el_, EL_BIND, L"^I", L"llmos-complete", nullptr);
  ::el_wset(el_, EL_BIND, L"^R", L"em-inc-search-prev", nullptr);
  ::el_wset(el_, EL_BIND, L"\\e[200~", L"llmos-paste", nullptr);
}

void line_editor::load_history() {
  HistEventW event;
  ::history_w(history_, &event, H_SETSIZE, static_cast<int>(history_file::max_entries));
  ::history_w(history_, &event, H_SETUNIQUE, 1);
  const auto entries = file_.load();
  if (!entries) return history_failed(entries.error());
  for (const auto& x : *entries) ::history_w(history_, &event, H_ENTER, widen(x).c_str());
}

void line_editor::history_failed(const failure& why) {
  file_works_ = false;
  write_error("llmos: what you type is not kept: " + why.text + "\n");
  if (!why.hint.empty()) write_error("hint: " + why.hint + "\n");
}

void line_editor::remember(const std::string& input) {
  if (input.empty() || first_invalid_utf8(input)) return;
  HistEventW event;
  const auto wide = widen(input);
  const bool repeated = ::history_w(history_, &event, H_FIRST) == 0 && event.str == wide;
  if (repeated) return;
  ::history_w(history_, &event, H_ENTER, wide.c_str());
  if (!file_works_) return;
  if (const auto kept = file_.append(input); !kept) history_failed(kept.error());
}

line_event line_editor::read(bool more) {
  more_ = more;
  event_.reset();
  // Asks the terminal to mark pastes, so that their line ends do not send them in pieces.
  if (!is_dumb_) std::fputs("\x1b[?2004h", stdout);
  // Before the prompt is shown, or what is typed at its sight would be echoed twice.
  ::el_wset(el_, EL_PREP_TERM, 1);
  int count = 0;
  const wchar_t* line = ::el_wgets(el_, &count);
  if (!is_dumb_) std::fputs("\x1b[?2004l", stdout);
  if (event_) std::fputs(event_->what == line_event::kind::interrupted ? "^C\n" : "\n", stdout);
  if (!event_ && line == nullptr) std::fputs("\n", stdout);
  std::fflush(stdout);
  if (event_) return *event_;
  if (line == nullptr || count <= 0) return {};
  auto text = narrow(line, line + count);
  if (text.ends_with('\n')) text.pop_back();
  return {line_event::kind::line, std::move(text)};
}

line_editor& line_editor::of(EditLine* el) {
  void* self = nullptr;
  ::el_wget(el, EL_CLIENTDATA, &self);
  return *static_cast<line_editor*>(self);
}

wchar_t* line_editor::prompt(EditLine* el) {
  static wchar_t first[] = L">>> ", next[] = L"... ";
  return of(el).more_ ? next : first;
}

std::optional<wchar_t> line_editor::take_character() {
  if (bytes_.empty()) return std::nullopt;
  const auto n = utf8_char_length(bytes_);
  // An unfinished character waits for its rest, as long as it can still become one.
  const auto wanted = expected_length(bytes_[0]);
  bool may_become = n == 0 && bytes_.size() < wanted;
  for (size_t i = 1; i < bytes_.size() && may_become; ++i) {
    may_become = (static_cast<unsigned char>(bytes_[i]) & 0xc0) == 0x80;
  }
  if (may_become) return std::nullopt;
  const auto out = n != 0 ? decode(bytes_.substr(0, n))
                          : static_cast<wchar_t>(bad_byte + static_cast<unsigned char>(bytes_[0]));
  bytes_.erase(0, n != 0 ? n : 1);
  return out;
}

/// Whether the line goes on.
bool line_editor::handle(int signal) {
  switch (signal) {
    case SIGWINCH:
      ::el_resize(el_);
      ::el_wset(el_, EL_REFRESH);
      return true;
    case SIGTSTP:
      ::el_wset(el_, EL_PREP_TERM, 0);
      ::raise(SIGSTOP);
      ::el_wset(el_, EL_PREP_TERM, 1);
      ::el_wset(el_, EL_REFRESH);
      return true;
    case SIGINT:
      bytes_.clear();
      event_ = line_event{line_event::kind::interrupted, "", signal};
      return false;
    default: event_ = line_event{line_event::kind::signal, "", signal}; return false;
  }
}

int line_editor::read_character(EditLine* el, wchar_t* out) {
  auto& self = of(el);
  for (;;) {
    if (const auto c = self.take_character()) {
      *out = *c;
      return 1;
    }
    const int signal = self.signals_.wait_readable(STDIN_FILENO);
    if (signal > 0) {
      if (self.handle(signal)) continue;
      errno = EINTR;  // drops the line also where libedit does not edit
      return -1;
    }
    char bytes[4096];
    const auto n = ::read(STDIN_FILENO, bytes, sizeof bytes);
    if (n > 0) self.bytes_.append(bytes, static_cast<size_t>(n));
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) return 0;
  }
}

unsigned char line_editor::complete_word(EditLine* el, int) {
  auto& self = of(el);
  const auto* line = ::el_wline(el);
  const auto before = narrow(line->buffer, line->cursor);
  if (self.more_ && !before.starts_with('/')) {
    return ::el_winsertstr(el, L"\t") == 0 ? CC_REFRESH : CC_ERROR;
  }
  const auto found = complete(before, self.sources_);
  if (found.options.empty()) return CC_ERROR;
  auto missing = found.common().substr(before.size() - found.begin);
  if (found.options.size() == 1 && !found.options[0].ends_with('/')) missing += ' ';
  if (missing.empty()) {
    self.show_options(found.options);
    return CC_REDISPLAY;
  }
  return ::el_winsertstr(el, widen(missing).c_str()) == 0 ? CC_REFRESH : CC_ERROR;
}

void line_editor::show_options(const std::vector<std::string>& options) const {
  std::string text = "\n";
  for (size_t i = 0; i < options.size() && i < max_shown_options; ++i) text += options[i] + "  ";
  if (options.size() > max_shown_options) text += "…";
  std::fputs((text + "\n").c_str(), stdout);
}

unsigned char line_editor::paste(EditLine* el, int) {
  constexpr std::wstring_view end = L"\x1b[201~";
  std::wstring text;
  while (!text.ends_with(end)) {  // the terminal turns a paste's carriage returns into line ends
    wchar_t c = 0;
    if (::el_wgetc(el, &c) != 1) return CC_EOF;
    text += c;
  }
  text.resize(text.size() - end.size());
  return ::el_winsertstr(el, text.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
}

}  // namespace llmos

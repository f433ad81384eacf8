#include "actors/gateway/shell/completion.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "actors/gateway/shell/command.hpp"
#include "runtime/base/home.hpp"

namespace llmos {

namespace {

namespace fs = std::filesystem;

constexpr size_t max_options = 1000;

void keep_matching(std::vector<std::string>& options, std::string_view start) {
  std::erase_if(options, [start](const std::string& x) { return !x.starts_with(start); });
  std::sort(options.begin(), options.end());
  options.erase(std::unique(options.begin(), options.end()), options.end());
}

std::vector<std::string> command_names() {
  std::vector<std::string> out;
  for (const auto& v : shell_verbs()) out.push_back(std::string{"/"} + v.name);
  return out;
}

/// A word as the shell reads it back: blanks, quotes and backslashes escaped.
std::string escape_word(const std::string& word) {
  std::string out;
  for (const char c : word) {
    if (c == ' ' || c == '"' || c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string unescape_word(std::string_view word) {
  std::string out;
  for (size_t i = 0; i < word.size(); ++i) {
    if (word[i] == '\\' && i + 1 < word.size()) ++i;
    out += word[i];
  }
  return out;
}

std::vector<std::string> files(std::string_view word, const completion_sources& sources) {
  if (!sources.files) return {};
  auto out = sources.files(unescape_word(word));
  for (auto& name : out) name = escape_word(name);
  return out;
}

std::vector<std::string> first_argument(std::string_view command, std::string_view word,
                                        const completion_sources& sources) {
  if (command == "/set") return sources.keys;
  if (command == "/show") return {"settings", "model", "system", "history"};
  if (command == "/read" || command == "/save") return files(word, sources);
  if (command != "/load" && command != "/unload") return {};
  auto out = sources.models ? sources.models() : std::vector<std::string>{};
  for (auto& name : out) name = escape_word(name);
  const auto paths = files(word, sources);
  out.insert(out.end(), paths.begin(), paths.end());
  return out;
}

/// Where the word before the cursor begins: after the last blank that is not escaped.
size_t word_begin(std::string_view text) {
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == ' ') {
      begin = i + 1;
    }
  }
  return begin;
}

}  // namespace

std::string completion::common() const {
  if (options.empty()) return {};
  auto out = options.front();
  for (const auto& x : options) {
    const auto end = std::mismatch(out.begin(), out.end(), x.begin(), x.end()).first;
    out.erase(end, out.end());
  }
  return out;
}

completion complete(std::string_view before, const completion_sources& sources) {
  completion out;
  if (!before.starts_with('/')) return out;
  out.begin = word_begin(before);
  const auto word = before.substr(out.begin);
  if (out.begin == 0) {
    out.options = command_names();
  } else {
    const auto command = before.substr(0, before.find(' '));
    const auto earlier = before.substr(0, before.find_last_not_of(' ', out.begin - 1) + 1);
    const bool is_first = word_begin(earlier) == 0;
    if (is_first) out.options = first_argument(command, word, sources);
  }
  keep_matching(out.options, word);
  return out;
}

std::vector<std::string> complete_path(const std::string& path) {
  const auto slash = path.rfind('/');
  const auto shown = slash == path.npos ? std::string{} : path.substr(0, slash + 1);
  const auto start = path.substr(shown.size());
  std::vector<std::string> out;
  std::error_code error;
  for (fs::directory_iterator it{shown.empty() ? "." : expand_home(shown), error}, end;
       !error && it != end && out.size() < max_options; it.increment(error)) {
    const auto name = it->path().filename().string();
    if (!name.starts_with(start) || (start.empty() && name.starts_with('.'))) continue;
    std::error_code no_folder;
    out.push_back(shown + name + (fs::is_directory(it->path(), no_folder) ? "/" : ""));
  }
  return out;
}

}  // namespace llmos

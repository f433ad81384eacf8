#include "actors/gateway/shell/history_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "runtime/base/read_file.hpp"
#include "runtime/base/utf8.hpp"

namespace llmos {

namespace {

constexpr uint64_t max_file_bytes = 256u << 20;

failure io_failure(const std::string& what, int error) {
  return {ec::io_error, "cannot " + what + ": " + std::generic_category().message(error),
          "check the path and its permissions, or set shell.history"};
}

std::string escape(const std::string& entry) {
  std::string out;
  for (const char c : entry) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\\') {
      out += "\\\\";
    } else {
      out += c;
    }
  }
  return out;
}

std::string unescape(std::string_view line) {
  std::string out;
  for (size_t i = 0; i < line.size(); ++i) {
    const bool escaped = line[i] == '\\' && i + 1 < line.size();
    if (!escaped) {
      out += line[i];
    } else {
      out += line[++i] == 'n' ? '\n' : line[i];
    }
  }
  return out;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const auto line = text.substr(0, end);
    // A line that a crash cut in half, or that another program wrote, must not break the prompt.
    if (!line.empty() && !first_invalid_utf8(line)) out.push_back(unescape(line));
    text = end == text.npos ? std::string_view{} : text.substr(end + 1);
  }
  return out;
}

/// The file, locked against other shells and closed at the end.
class locked_file {
public:
  explicit locked_file(const std::string& path)
      : fd_(::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600)) {
    if (fd_ >= 0) ::flock(fd_, LOCK_EX);
  }
  ~locked_file() {
    if (fd_ >= 0) ::close(fd_);
  }
  locked_file(const locked_file&) = delete;
  locked_file& operator=(const locked_file&) = delete;

  int fd() const { return fd_; }

  result<void> write(const std::string& text, const std::string& path) const {
    for (size_t done = 0; done < text.size();) {
      const auto n = ::write(fd_, text.data() + done, text.size() - done);
      if (n < 0 && errno != EINTR) return io_failure("write " + path, errno);
      if (n > 0) done += static_cast<size_t>(n);
    }
    return {};
  }

private:
  int fd_;
};

}  // namespace

result<std::vector<std::string>> history_file::load() {
  std::error_code error;
  const auto folder = std::filesystem::path{path_}.parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  if (error) return io_failure("make the folder " + folder.string(), error.value());
  const locked_file file{path_};
  if (file.fd() < 0) return io_failure("open " + path_, errno);
  LLMOS_TRY(const auto text, read_descriptor(file.fd(), path_, max_file_bytes));
  auto entries = split(text);
  if (entries.size() <= max_entries) return entries;
  const bool shorten = entries.size() > 2 * max_entries;
  entries.erase(entries.begin(), entries.end() - max_entries);
  if (!shorten) return entries;
  // In place and under the lock: another shell that has the file open must not lose what it adds.
  std::string kept;
  for (const auto& e : entries) kept += escape(e) + "\n";
  if (::ftruncate(file.fd(), 0) != 0) return io_failure("shorten " + path_, errno);
  LLMOS_TRY_VOID(file.write(kept, path_));
  return entries;
}

result<void> history_file::append(const std::string& entry) {
  if (entry.empty() || entry.size() > max_entry_bytes) return {};
  const locked_file file{path_};
  if (file.fd() < 0) return io_failure("open " + path_, errno);
  return file.write(escape(entry) + "\n", path_);
}

}  // namespace llmos

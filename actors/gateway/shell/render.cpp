#include "actors/gateway/shell/render.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "runtime/base/utf8.hpp"
#include "runtime/gguf/printable.hpp"

namespace llmos {

namespace {

using row = std::vector<std::string>;

/// Columns two blanks apart, each as wide as its widest cell; the last is not padded.
std::string table(const std::vector<row>& rows) {
  std::string out;
  for (const auto& r : rows) {
    for (size_t i = 0; i < r.size(); ++i) {
      out += r[i];
      if (i + 1 == r.size()) break;
      size_t width = 0;
      for (const auto& other : rows) width = std::max(width, other[i].size());
      out.append(width - r[i].size() + 2, ' ');
    }
    out += '\n';
  }
  return out;
}

std::string bytes_text(uint64_t bytes) {
  constexpr std::array units = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto x = static_cast<double>(bytes);
  size_t unit = 0;
  for (; x >= 1024 && unit + 1 < units.size(); ++unit) x /= 1024;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", x, units[unit]);
  return text;
}

std::string seconds_text(uint64_t ms) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", static_cast<double>(ms) * 1e-3);
  return text;
}

}  // namespace

std::string render_processes(std::vector<process_info> processes) {
  if (processes.empty()) return "no generation runs\n";
  std::sort(processes.begin(), processes.end(),
            [](const auto& a, const auto& b) { return a.id.value < b.id.value; });
  std::vector<row> rows{{"ID", "STATE", "PROMPT", "NEW", "AGE", "OWNER", "MODEL"}};
  for (const auto& p : processes) {
    rows.push_back({std::to_string(p.id.value), p.state, std::to_string(p.prompt_tokens),
                    std::to_string(p.generated_tokens), seconds_text(p.age_ms), p.owner, p.model});
  }
  return table(rows);
}

std::string render_models(const std::vector<model_status>& models) {
  if (models.empty()) return "no models (tools/get-model fetches the default model)\n";
  std::vector<row> rows{{" ", "NAME", "STATE", "SIZE", "WHAT"}};
  for (const auto& m : models) {
    rows.push_back(
        {m.is_default ? "*" : " ", m.name, m.state, bytes_text(m.file_bytes), m.description});
  }
  return table(rows);
}

std::string render_model(const model_status& m) {
  const auto what = m.description.empty() ? "" : m.description + ", ";
  return m.name + " (" + what + bytes_text(m.file_bytes) + ") is ready\n";
}

std::string terminal_text(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto length = utf8_char_length(text);
    const auto c = static_cast<unsigned char>(text[0]);
    // U+0080 to U+009F steer terminals too.
    const bool is_c1 = length == 2 && c == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0;
    const bool plain = length > 0 && !is_c1 && (c >= 0x20 || c == '\n' || c == '\t') && c != 0x7f;
    const auto one = text.substr(0, std::max<size_t>(length, 1));
    out += plain ? std::string{one} : printable(one, 16);
    text.remove_prefix(one.size());
  }
  return out;
}

}  // namespace llmos

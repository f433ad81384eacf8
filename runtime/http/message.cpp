#include "runtime/http/message.hpp"

#include <algorithm>
#include <ctime>

namespace llmos {

namespace {

void add_header(std::string& out, std::string_view name, std::string_view value) {
  const auto add = [&out](std::string_view text) {
    for (const char c : text) out += c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
  };
  add(name);
  out += ": ";
  add(value);
  out += "\r\n";
}

/// The form of RFC 9110 for dates, in English whatever the locale is.
std::string http_date(int64_t now) {
  constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t t = now;
  std::tm parts{};
  ::gmtime_r(&t, &parts);
  char text[40];
  const std::string pattern =
      std::string{days[parts.tm_wday]} + ", %d " + months[parts.tm_mon] + " %Y %H:%M:%S GMT";
  return {text, std::strftime(text, sizeof text, pattern.c_str(), &parts)};
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

}  // namespace

std::optional<std::string_view> http_request::header(std::string_view name) const {
  const auto it = std::find_if(headers.begin(), headers.end(),
                               [name](const auto& h) { return h.first == name; });
  return it == headers.end() ? std::nullopt : std::optional<std::string_view>{it->second};
}

std::pair<std::string, std::string> split_target(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    const size_t path = target.find_first_of("/?", scheme.size());
    target = path == target.npos ? "/" : target.substr(path);
    break;
  }
  const size_t mark = std::min(target.find('?'), target.size());
  const auto path = mark == 0 ? std::string_view{"/"} : target.substr(0, mark);
  return {std::string{path}, std::string{target.substr(std::min(mark + 1, target.size()))}};
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hex_value(text[i + 1]), low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

const char* http_reason(int status) {
  switch (status) {
    case 100: return "Continue";
    case 200: return "OK";
    case 204: return "No Content";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Unknown";
  }
}

std::string render_head(int status, const http_headers& headers, const http_framing& framing,
                        int64_t now) {
  std::string out = "HTTP/1.1 " + std::to_string(status) + " " + http_reason(status) + "\r\n";
  add_header(out, "Date", http_date(now));
  for (const auto& [name, value] : headers) add_header(out, name, value);
  if (framing.content_length) {
    add_header(out, "Content-Length", std::to_string(*framing.content_length));
  }
  if (framing.is_chunked) add_header(out, "Transfer-Encoding", "chunked");
  if (!framing.keeps_alive) {
    add_header(out, "Connection", "close");
  } else if (framing.is_http_1_0) {
    add_header(out, "Connection", "keep-alive");
  }
  return out + "\r\n";
}

}  // namespace llmos

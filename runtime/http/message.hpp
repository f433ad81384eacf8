#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llmos {

/// Names and values in the order they have in a message.
using http_headers = std::vector<std::pair<std::string, std::string>>;

/// A request that was read whole.
struct http_request {
  std::string method;    ///< "GET", as it was sent.
  std::string path;      ///< "/v1/models", with its percent signs.
  std::string query;     ///< Behind the first question mark; may be empty.
  http_headers headers;  ///< Names in lower case.
  std::string body;
  std::string peer;  ///< "127.0.0.1:50000"

  /// The first value under a name in lower case, or nothing.
  std::optional<std::string_view> header(std::string_view name) const;
};

/// Splits "/a?b=c" or "http://host/a?b=c" into path and query.
std::pair<std::string, std::string> split_target(std::string_view target);

/// "%41b" is "Ab". Nothing where a percent sign is not followed by two hex digits.
std::optional<std::string> percent_decode(std::string_view text);

/// "Not Found"; "Unknown" for a status that has no name here.
const char* http_reason(int status);

/// What the head of a response says beside the caller's headers.
struct http_framing {
  std::optional<size_t> content_length;
  bool is_chunked = false;
  bool is_http_1_0 = false;  ///< The request was.
  bool keeps_alive = true;
};

/// Status line and headers with the empty line behind them. `now`: seconds since 1970. A header
/// cannot end its line: CR, LF and NUL become spaces.
std::string render_head(int status, const http_headers& headers, const http_framing& framing,
                        int64_t now);

}  // namespace llmos

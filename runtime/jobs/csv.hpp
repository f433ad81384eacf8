#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/config/yaml.hpp"

namespace llmos {

struct csv_row {
  uint32_t line = 1;  ///< Where the row starts, from 1.
  std::vector<std::string> fields;
  std::vector<text_place> places;  ///< Where each field starts.
};

/// Reads comma-separated values as RFC 4180 has them: quoted fields with commas, line ends and
/// doubled quotes; LF or CRLF; a byte order mark is skipped, empty lines are too. Errors: bad_file
/// with name, line and column (an open quote, text beside a quoted field); every row has at least
/// one field.
result<std::vector<csv_row>> parse_csv(std::string_view text, std::string_view name);

}  // namespace llmos

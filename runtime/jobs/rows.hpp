#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/config/yaml.hpp"

namespace llmos {

/// Values for the `{{ names }}` of one item: texts, or any JSON of a .jsonl row.
using variable_map = std::map<std::string, nlohmann::ordered_json>;

/// One record of a data file: an item of a job.
struct data_row {
  uint32_t line = 1;  ///< Where it starts in its file.
  variable_map values;
  std::map<std::string, text_place> places;  ///< Where each value of a .csv row starts.
};

/// Most rows of a file.
constexpr size_t max_rows = 100'000;

/// Reads a .csv file (its first row names the variables, its values are texts) or a .jsonl file (an
/// object in each line). Errors: not_found, io_error, bad_file with the place
/// (a row of another length, a name twice or empty, no object, invalid UTF-8, too many rows),
/// unsupported for another extension.
result<std::vector<data_row>> load_rows(const std::string& path);

/// The same for bytes in memory; `name` tells the format.
result<std::vector<data_row>> parse_rows(std::string_view text, const std::string& name);

}  // namespace llmos

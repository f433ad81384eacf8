#include "runtime/jobs/rows.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "runtime/base/json_text.hpp"
#include "runtime/base/read_file.hpp"
#include "runtime/base/utf8.hpp"
#include "runtime/config/yaml.hpp"
#include "runtime/jobs/csv.hpp"

namespace llmos {

namespace {

constexpr uint64_t max_file_bytes = 256u << 20;

failure too_many_rows(const std::string& name, uint32_t line) {
  return error_at(name, {line, 1}, "more than " + std::to_string(max_rows) + " rows",
                  "split the file into several jobs");
}

result<void> check_header(const csv_row& header, const std::string& name) {
  std::set<std::string> seen;
  for (const auto& column : header.fields) {
    if (column.empty()) {
      return error_at(name, {header.line, 1}, "a column without a name",
                      "the first row names the variables");
    }
    if (!seen.insert(column).second) {
      return error_at(name, {header.line, 1}, "two columns are called " + quote_short(column),
                      "rename one of them");
    }
  }
  return {};
}

result<std::vector<data_row>> rows_of_csv(std::string_view text, const std::string& name) {
  LLMOS_TRY(auto table, parse_csv(text, name));
  if (table.empty()) return error_at(name, {}, "no row", "the first row names the variables");
  const csv_row header = std::move(table.front());
  LLMOS_TRY_VOID(check_header(header, name));
  if (table.size() - 1 > max_rows) return too_many_rows(name, table[max_rows + 1].line);
  std::vector<data_row> rows;
  rows.reserve(table.size() - 1);
  for (size_t i = 1; i < table.size(); ++i) {
    auto& fields = table[i].fields;
    if (fields.size() != header.fields.size()) {
      return error_at(name, {table[i].line, 1},
                      std::to_string(fields.size()) + " fields, but the first row has " +
                          std::to_string(header.fields.size()),
                      "quote fields that contain commas");
    }
    auto& row = rows.emplace_back(data_row{table[i].line, {}, {}});
    for (size_t c = 0; c < fields.size(); ++c) {
      row.values.emplace(header.fields[c], std::move(fields[c]));
      row.places.emplace(header.fields[c], table[i].places[c]);
    }
  }
  return rows;
}

result<data_row> row_of_json(std::string_view line, uint32_t number, const std::string& name) {
  LLMOS_TRY(const auto value, parse_json(line, name, number));
  if (!value.is_object()) {
    return error_at(name, {number, 1}, "no JSON object",
                    "each line is one object: {\"name\": \"value\"}");
  }
  data_row row{number, {}, {}};
  for (const auto& [key, x] : value.items()) row.values[key] = x;
  return row;
}

result<std::vector<data_row>> rows_of_jsonl(std::string_view text, const std::string& name) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::vector<data_row> rows;
  for (uint32_t number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    if (rows.size() == max_rows) return too_many_rows(name, number);
    LLMOS_TRY(rows.emplace_back(), row_of_json(line, number, name));
  }
  return rows;
}

}  // namespace

result<std::vector<data_row>> parse_rows(std::string_view text, const std::string& name) {
  if (const auto bad = first_invalid_utf8(text)) {
    const auto line = std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(*bad), '\n');
    return error_at(name, {static_cast<uint32_t>(line) + 1, 1}, "invalid UTF-8",
                    "save the file as UTF-8");
  }
  if (name.ends_with(".csv")) return rows_of_csv(text, name);
  if (name.ends_with(".jsonl")) return rows_of_jsonl(text, name);
  return failure{ec::unsupported, name + " is neither .csv nor .jsonl", "rename or convert it"};
}

result<std::vector<data_row>> load_rows(const std::string& path) {
  LLMOS_TRY(const std::string text, read_file(path, max_file_bytes));
  return parse_rows(text, path);
}

}  // namespace llmos

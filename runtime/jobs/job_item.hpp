#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/config/keys.hpp"
#include "runtime/config/yaml.hpp"
#include "runtime/jobs/job.hpp"

namespace llmos {

/// A field of an item that is exactly one `{{ variable }}`.
struct late_field {
  std::string key;  ///< "sampling.temperature"
  yaml_node text;
};

/// An item as the job file writes it, over the job's defaults and before its texts are filled in.
struct item_spec {
  std::string id;
  std::string model;
  yaml_node system;    ///< Null: none.
  yaml_node prompt;    ///< A text; null when `messages` is set.
  yaml_node messages;  ///< A list or one variable; null when `prompt` is set.
  bool raw = false;    ///< The prompt goes to the model without its chat template.
  int32_t priority = 0;
  uint32_t deadline_ms = 0;
  sampling_params sampling;
  variable_map variables;
  std::vector<late_field> late;                  ///< Assigned when the variables are known.
  std::map<std::string, text_place> row_places;  ///< Of the variables that a data file's row gave.
};

/// Reads one item, or the defaults themselves, over `defaults`. Errors: bad_file with the place.
result<item_spec> read_item(const yaml_node& map, const item_spec& defaults, std::string_view file);

/// Fills in variables. `place` in `where`: the item, or the row that it is made of; `file`: the
/// job. Errors: bad_file with the place of the text in `file` (no prompt, an unknown variable, a
/// system prompt beside `raw`) or of the value in `where` (no number where one must be).
result<job_item> make_item(item_spec spec, text_place place, std::string_view where,
                           std::string_view file);

}  // namespace llmos

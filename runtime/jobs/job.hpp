#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/config/node_config.hpp"
#include "runtime/jobs/rows.hpp"
#include "runtime/schedule/request.hpp"

namespace llmos {

/// One request of a job, ready to be sent.
struct job_item {
  std::string id;  ///< Unique in the job; its number from 1 when the job gives none.
  generate_request request;
  variable_map variables;  ///< What its texts were made with.
};

/// A batch job as its YAML file describes it:
///
///   model: NAME               # optional; else the node's default model
///   concurrency: 4            # requests in flight
///   output: answers.jsonl     # relative to the job file; "-" = standard output; no input of it
///   print: false              # also print the answers for a person
///   defaults:                 # what items say nothing about
///     system: You are brief.
///     sampling: {max_tokens: 64}
///   items:                    # either these …
///     - prompt: Why is the sky blue?
///       sampling: {temperature: 0}
///   items_from: people.csv    # … or one item per row of a .csv or .jsonl file
///
/// An item has `prompt` or `messages`, and may have id, model, system, raw, priority, deadline_ms,
/// sampling and variables. Texts may hold `{{ variables }}`; a value that is exactly one takes the
/// variable's value with its type: `temperature: "{{ t }}"`, `messages: "{{ messages }}"`. The YAML
/// file may have 512 KiB; more items than fit belong into a file that items_from names.
struct batch_job {
  std::string path;    ///< Of the job file.
  std::string output;  ///< Path of the output file, "-" for standard output, empty for none.
  bool print = false;
  uint32_t concurrency = 4;
  std::vector<job_item> items;
};

/// Reads a job and everything it names; `sampling`: what neither item nor defaults say. Errors:
/// not_found, io_error, bad_file with file, line and column.
result<batch_job> load_job(const std::string& path, const sampling_params& sampling);

/// The same for a text in memory; `path` stands in for the file and its folder.
result<batch_job> parse_job(std::string_view text, const std::string& path,
                            const sampling_params& sampling);

/// Looks for the models that a job names. Errors: those of find_model_file, naming the job and the
/// first item that has no model.
result<void> check_models(const batch_job& job, const node_config& config);

}  // namespace llmos

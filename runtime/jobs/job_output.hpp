#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.hpp"
#include "runtime/jobs/job.hpp"
#include "runtime/jobs/outcome.hpp"

namespace llmos {

/// 64 bits in hex that tell one request from another: its model's name, texts and sampling.
std::string request_hash(const generate_request& x);

/// The output line of one item, without a line end: {id, index, status: "done" | "failed", text,
/// finish_reason, usage, seed, model, request, error, logprobs, variables}; what does not apply is
/// left out. `index` counts from 0, `request` is the request's hash.
std::string output_line(const job_item& item, size_t index, const outcome& x);

/// What an earlier run of the job left in its output file.
struct earlier_output {
  std::string kept;           ///< Its lines of items that are done, each with its line end.
  std::vector<bool> is_done;  ///< [items]
  size_t num_done = 0;
  size_t num_repeated = 0;  ///< Lines left out of `kept`: failed items, a line that was cut.
  size_t num_changed = 0;   ///< And lines that answer another request than the item's of now.
};

/// Reads the lines of an interrupted run; a last line that was cut is repeated. A line without a
/// hash answers any request. Errors: bad_file
/// with the place when it is another file: a line is no line of a job, its item is unknown or done
/// twice.
result<earlier_output> read_earlier_output(std::string_view text, const std::string& name,
                                           const batch_job& job);

}  // namespace llmos

#include "runtime/jobs/job_output.hpp"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "runtime/config/keys.hpp"
#include "runtime/config/yaml.hpp"

namespace llmos {

namespace {

using json = nlohmann::ordered_json;

failure not_ours(const std::string& name, uint32_t line, const char* what) {
  return error_at(name, {line, 1}, what,
                  "it is not this job's output: name another file, or --overwrite it");
}

std::string text_field(const json& line, const char* key) {
  const auto it = line.find(key);
  return it != line.end() && it->is_string() ? it->get<std::string>() : std::string{};
}

/// FNV-1a.
uint64_t hash_of(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace

std::string request_hash(const generate_request& x) {
  json all = {x.model, x.prompt, x.messages, x.tools};
  auto sampling = x.sampling;
  for (const auto& key : keys_of(sampling)) all.push_back(render_value(key));
  char hex[17];
  std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(hash_of(to_line(all))));
  return hex;
}

std::string output_line(const job_item& item, size_t index, const outcome& x) {
  json line = {
      {"id", item.id}, {"index", index}, {"status", x.done ? "done" : "failed"}, {"text", x.text}};
  if (x.done) {
    line["finish_reason"] = to_string(x.done->reason);
    line["usage"] = to_json(x.done->usage);
    line["seed"] = x.done->seed;
    line["model"] = x.done->model;
    line["request"] = request_hash(item.request);
  } else {
    line["error"] = to_json(x.error);
  }
  if (item.request.sampling.logprobs) line["logprobs"] = logprobs_json(x.tokens);
  if (!item.variables.empty()) line["variables"] = item.variables;
  return to_line(line);
}

result<earlier_output> read_earlier_output(std::string_view text, const std::string& name,
                                           const batch_job& job) {
  std::unordered_map<std::string, size_t> index_of;
  for (size_t i = 0; i < job.items.size(); ++i) index_of[job.items[i].id] = i;
  earlier_output out;
  out.is_done.resize(job.items.size());
  for (uint32_t number = 1; !text.empty(); ++number) {
    const auto end = text.find('\n');
    const auto line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    const auto value = json::parse(line, nullptr, false);
    if (value.is_discarded() && end == text.npos) {  // the run was killed while writing it
      ++out.num_repeated;
      break;
    }
    const auto status = value.is_object() ? text_field(value, "status") : std::string{};
    if (status != "done" && status != "failed") return not_ours(name, number, "no line of a job");
    const auto item = index_of.find(text_field(value, "id"));
    if (item == index_of.end()) return not_ours(name, number, "an item that the job does not have");
    if (status == "failed") {
      ++out.num_repeated;
      continue;
    }
    const auto request = text_field(value, "request");
    if (!request.empty() && request != request_hash(job.items[item->second].request)) {
      ++out.num_changed;
      continue;
    }
    if (out.is_done[item->second]) return not_ours(name, number, "an item is done twice");
    out.is_done[item->second] = true;
    ++out.num_done;
    out.kept.append(line).push_back('\n');
  }
  return out;
}

}  // namespace llmos

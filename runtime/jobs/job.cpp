#include "runtime/jobs/job.hpp"

#include <filesystem>
#include <set>
#include <unordered_map>

#include "runtime/config/model_path.hpp"
#include "runtime/jobs/job_item.hpp"
#include "runtime/jobs/substitute.hpp"

namespace llmos {

namespace {

constexpr uint64_t max_text_bytes = 512u << 20;  // of all items together, filled in

/// A job file read as YAML: scalars in place, the rest still nodes.
struct job_head {
  std::string model;
  uint32_t concurrency = 4;
  std::string output;
  bool print = false;
  yaml_node defaults;
  yaml_node items;
  yaml_node items_from;
};

std::vector<config_key> keys_of(job_head& x) {
  return {
      {"model", &x.model, {}, "", "A name in the models folder, or a path."},
      {"concurrency", &x.concurrency, {1, 4096}, "requests", "Requests in flight."},
      {"output", &x.output, {}, "", "Where the lines go; \"-\" is standard output."},
      {"print", &x.print, {}, "", "Prints the answers for a person."},
      {"defaults", &x.defaults, {}, "", "What items say nothing about."},
      {"items", &x.items, {}, "", "A list of items."},
      {"items_from", &x.items_from, {}, "", "A .csv or .jsonl file, an item for each row."},
  };
}

/// A path in a job file means a file beside it.
std::string beside(const std::string& job_path, const std::string& path) {
  return (std::filesystem::path{job_path}.parent_path() / path).lexically_normal().string();
}

uint64_t text_bytes(const job_item& item) {
  uint64_t sum = item.request.prompt.size();
  for (const auto& m : item.request.messages) {
    sum += m["content"].get_ref<const std::string&>().size();
  }
  for (const auto& [name, value] : item.variables) sum += text_of(value).size();
  return sum;
}

/// Collects items; what must hold over all of them is checked here.
class item_list {
public:
  explicit item_list(std::string file) : file_(std::move(file)) {}

  result<void> add(item_spec spec, text_place place, std::string_view where) {
    const std::string number = std::to_string(items_.size() + 1);
    if (spec.id.empty()) spec.id = number;
    if (const auto [it, is_new] = numbers_.emplace(spec.id, number); !is_new) {
      return error_at(where, place,
                      "the id " + quote_short(spec.id) + " is that of item " + it->second,
                      "give each item an id of its own");
    }
    if (items_.size() == max_rows) {
      return error_at(where, place, "more than " + std::to_string(max_rows) + " items",
                      "split the job");
    }
    LLMOS_TRY(items_.emplace_back(), make_item(std::move(spec), place, where, file_));
    num_bytes_ += text_bytes(items_.back());
    if (num_bytes_ > max_text_bytes) {
      return error_at(where, place,
                      "the items' texts exceed " + std::to_string(max_text_bytes) + " bytes",
                      "split the job");
    }
    return {};
  }

  std::vector<job_item> take() { return std::move(items_); }

private:
  std::string file_;
  std::vector<job_item> items_;
  std::unordered_map<std::string, std::string> numbers_;  // id → number
  uint64_t num_bytes_ = 0;
};

result<void> add_listed(const yaml_node& list, const item_spec& defaults, const std::string& file,
                        item_list& out) {
  if (list.type != yaml_node::kind::sequence) {
    return error_at(file, list.place, "items: expected a list, found " + describe(list),
                    "write - prompt: …, one per item");
  }
  for (const auto& x : list.items) {
    if (x.type != yaml_node::kind::map) {
      return error_at(file, x.place, "an item: expected a map of keys, found " + describe(x),
                      "write - prompt: …");
    }
    LLMOS_TRY(item_spec spec, read_item(x, defaults, file));
    LLMOS_TRY_VOID(out.add(std::move(spec), x.place, file));
  }
  return {};
}

result<void> add_rows(const yaml_node& source, const item_spec& defaults, const std::string& file,
                      item_list& out) {
  if (source.type != yaml_node::kind::scalar || source.text.empty()) {
    return error_at(file, source.place, "items_from: expected a path, found " + describe(source),
                    "name a .csv or .jsonl file beside the job");
  }
  const auto path = beside(file, source.text);
  auto rows = load_rows(path);
  if (!rows && rows.error().code != ec::bad_file) {
    return error_at(file, source.place, "items_from: " + rows.error().text, rows.error().hint);
  }
  if (!rows) return std::move(rows).error();
  for (auto& row : *rows) {
    item_spec spec = defaults;
    for (auto& [name, value] : row.values) {
      const auto cell = row.places.find(name);
      spec.row_places[name] = cell != row.places.end() ? cell->second : text_place{row.line, 1};
      if (name == "id") spec.id = text_of(value);
      spec.variables[name] = std::move(value);
    }
    LLMOS_TRY_VOID(out.add(std::move(spec), {row.line, 1}, path));
  }
  return {};
}

/// The same file under whatever name; false where one of them is not there.
bool is_same_file(const std::string& a, const std::string& b) {
  std::error_code error;
  return std::filesystem::equivalent(a, b, error) && !error;
}

/// The output must not be a file that the job is made of: --overwrite would empty it.
result<void> check_output(const batch_job& job, const yaml_node& root, const yaml_node& rows) {
  if (job.output == "-") return {};
  const char* victim = nullptr;
  if (is_same_file(job.output, job.path)) victim = "the job itself";
  if (!rows.text.empty() && is_same_file(job.output, beside(job.path, rows.text))) {
    victim = "the job's items_from";
  }
  if (victim == nullptr) return {};
  return error_at(job.path, root.find("output")->place,
                  "output: " + quote_short(job.output) + " is " + victim, "name another file");
}

bool is_set(const yaml_node& x) {
  return x.type != yaml_node::kind::null;
}

}  // namespace

result<batch_job> parse_job(std::string_view text, const std::string& path,
                            const sampling_params& sampling) {
  LLMOS_TRY(const yaml_node root, parse_yaml(text, path));
  job_head head;
  LLMOS_TRY_VOID(assign_map(keys_of(head), root, "", path));
  if (is_set(head.items) == is_set(head.items_from)) {
    return error_at(path, root.place, is_set(head.items) ? "both items and items_from" : "no items",
                    "give the job either items or items_from");
  }
  item_spec defaults;
  defaults.sampling = sampling;
  LLMOS_TRY(defaults, read_item(head.defaults, defaults, path));
  if (!defaults.id.empty() || !defaults.model.empty()) {
    return error_at(path, head.defaults.place, "defaults: id and model do not belong here",
                    "an id belongs to an item, model to the top of the job");
  }
  defaults.model = head.model;
  item_list items{path};
  LLMOS_TRY_VOID(is_set(head.items) ? add_listed(head.items, defaults, path, items)
                                    : add_rows(head.items_from, defaults, path, items));
  batch_job job;
  job.path = path;
  job.print = head.print;
  job.concurrency = head.concurrency;
  job.output = head.output.empty() || head.output == "-" ? head.output : beside(path, head.output);
  if (job.output.empty() && !job.print) job.output = "-";  // the lines must go somewhere
  LLMOS_TRY_VOID(check_output(job, root, head.items_from));
  if (job.output == "-" && job.print) {
    return error_at(path, root.find("output")->place,
                    "output: \"-\" and print: true both go to standard output",
                    "leave one of them out");
  }
  job.items = items.take();
  if (job.items.empty()) {
    return error_at(path, (is_set(head.items) ? head.items : head.items_from).place, "no items",
                    "a job needs at least one");
  }
  return job;
}

result<batch_job> load_job(const std::string& path, const sampling_params& sampling) {
  LLMOS_TRY(
      const std::string text,
      read_yaml_file(path, "put the items into a .jsonl or .csv file and name it: items_from"));
  return parse_job(text, path, sampling);
}

result<void> check_models(const batch_job& job, const node_config& config) {
  std::set<std::string> known;
  for (const auto& item : job.items) {
    if (!known.insert(item.request.model).second) continue;
    if (auto found = find_model_file(config, item.request.model); !found) {
      auto why = std::move(found).error();
      why.text = job.path + ": item " + quote_short(item.id) + ": " + why.text;
      return why;
    }
  }
  return {};
}

}  // namespace llmos

#include <algorithm>
#include <cmath>
#include <future>

#include "tools/examples/common/likelihood.hpp"
#include "tools/examples/common/service.hpp"
#include "tools/examples/sentiment/labels.hpp"
#include "tools/examples/sentiment/shift.hpp"

namespace llmos::examples {

namespace {

struct options {
  service_flags service;
  size_t window = 8;
  double threshold = 0.25;
};

struct headline {
  std::string text;
  json time;  ///< As it came; null: none.
};

/// A line is the headline, or an object {"headline": …, "time": …}.
result<headline> read_headline(const std::string& line, const std::string& what) {
  LLMOS_TRY_VOID(check_utf8(line, what));
  if (!line.starts_with('{')) return headline{line, nullptr};
  LLMOS_TRY(const auto object, read_object(line, what));
  LLMOS_TRY(auto text, text_of(object, "headline", what));
  // A second line would be read as another example.
  std::replace(text.begin(), text.end(), '\n', ' ');
  return headline{std::move(text), object.value("time", json())};
}

/// Four digits say more than enough.
double rounded(double x) {
  return std::round(x * 1e4) / 1e4;
}

class monitor {
public:
  monitor(client::client& node, const options& o)
      : node_(node), model_(o.service.model), shift_(o.window, o.threshold) {}

  result<void> calibrate() {
    std::vector<by_label> all;
    for (const auto& text : reference_headlines()) {
      LLMOS_TRY(const auto scores, score(text));
      all.push_back(scores);
    }
    bias_ = bias_of(all);
    return {};
  }

  /// Writes what is thought of it, and an alert when that moved the mood.
  result<void> read(const headline& x) {
    LLMOS_TRY(const auto scores, score(x.text));
    const auto p = calibrated(scores, bias_);
    const auto now = shift_.add(mood_of(p));
    ++num_read_;
    LLMOS_TRY_VOID(write_line(judgement(x, p, now)));
    return now.is_shift ? write_line(alert(x, now)) : result<void>{};
  }

private:
  result<by_label> score(const std::string& text) {
    LLMOS_TRY(const auto found, log_likelihoods(node_, model_, prompt_of(text), label_texts()));
    by_label out{};
    std::copy(found.begin(), found.end(), out.begin());
    return out;
  }

  json judgement(const headline& x, const by_label& p, const shift_detector::state& now) const {
    json probabilities;
    for (size_t i = 0; i < num_labels; ++i) probabilities[label_names[i]] = rounded(p[i]);
    json out = {{"number", num_read_}, {"headline", x.text}};
    if (!x.time.is_null()) out["time"] = x.time;
    out["label"] = label_names[best_label(p)];
    out["probabilities"] = probabilities;
    out["window"] = rounded(now.window);
    out["baseline"] = rounded(now.baseline);
    return out;
  }

  json alert(const headline& x, const shift_detector::state& now) const {
    json out = {{"alert", now.window < now.baseline ? "falling" : "rising"},
                {"number", num_read_},
                {"window", rounded(now.window)},
                {"baseline", rounded(now.baseline)}};
    if (!x.time.is_null()) out["time"] = x.time;
    return out;
  }

  client::client& node_;
  std::string model_;
  shift_detector shift_;
  by_label bias_{};
  size_t num_read_ = 0;
};

result<void> read_line(monitor& all, const std::string& line, const std::string& what) {
  LLMOS_TRY(const auto x, read_headline(line, what));
  return all.read(x);
}

result<bool> watch(const options& o) {
  LLMOS_TRY(const auto node, connect(o.service));
  monitor all(*node, o);
  LLMOS_TRY_VOID(all.calibrate());
  return read_lines(
      [&](const std::string& line, const std::string& what) { return read_line(all, line, what); },
      [](ec code) { return code != ec::invalid_argument && code != ec::over_context; });
}

int run(int argc, char** argv) {
  options o;
  CLI::App app("Reads headlines from standard input, one a line, and says how they move a mood.",
               "sentiment");
  add_service_flags(app, o.service);
  app.add_option("--window", o.window, "Headlines that are the present; default: 8")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--threshold", o.threshold, "A shift of the mood worth an alert; default: 0.25")
      ->check(CLI::Range(0.001, 2.0));
  return run_service(app, argc, argv, [&o] { return watch(o); });
}

}  // namespace
}  // namespace llmos::examples

int main(int argc, char** argv) {
  return llmos::examples::run(argc, argv);
}

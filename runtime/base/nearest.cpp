#include "runtime/base/nearest.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

namespace llmos {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::optional<std::string> nearest_name(std::string_view name, std::span<const std::string> known) {
  // Costs the product of both lengths: nobody mistypes a kilobyte.
  if (name.empty() || name.size() > 100) return std::nullopt;
  const auto has_last_part = [name](const std::string& k) {
    return k.size() > name.size() && k.ends_with(name) && k[k.size() - name.size() - 1] == '.';
  };
  if (const auto it = std::find_if(known.begin(), known.end(), has_last_part); it != known.end()) {
    return *it;
  }
  const std::string* best = nullptr;
  size_t best_distance = std::max<size_t>(1, name.size() / 3) + 1;
  for (const auto& k : known) {
    const size_t distance = edit_distance(name, k);
    if (distance < best_distance) {
      best = &k;
      best_distance = distance;
    }
  }
  return best != nullptr ? std::optional{*best} : std::nullopt;
}

}  // namespace llmos

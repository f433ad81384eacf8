#pragma once

#include <llmos/client.hpp>
#include <string>
#include <vector>

namespace llmos::examples {

/// The natural logarithm of each continuation's probability behind the prompt. A continuation is
/// forced token by token: each is asked for with a bias that leaves no other, and the node reports
/// what the model thought of it before the bias. The text so far is the prompt of the next token,
/// of which the node remembers all but the end. All continuations go on at once, and what several
/// begin with is asked for once. Errors: those of the node; unsupported when the model's tokens run
/// over the prompt's end.
result<std::vector<double>> log_likelihoods(client::client& node, const std::string& model,
                                            const std::string& prompt,
                                            const std::vector<std::string>& continuations);

}  // namespace llmos::examples

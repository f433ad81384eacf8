#pragma once

#include "tools/llmos/command_line.hpp"

namespace llmos {

// One function per subcommand, each in its cmd_*.cpp.
void add_run(command_line& line);
void add_shell(command_line& line);
void add_batch(command_line& line);
void add_serve(command_line& line);
void add_init(command_line& line);
void add_key(command_line& line);
void add_models(command_line& line);
void add_inspect(command_line& line);
void add_perplexity(command_line& line);
void add_bench(command_line& line);
void add_tokenize(command_line& line);
void add_template(command_line& line);
void add_logits(command_line& line);
void add_config(command_line& line);
void add_completion(command_line& line);

}  // namespace llmos

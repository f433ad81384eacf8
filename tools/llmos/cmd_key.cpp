#include <chrono>

#include "runtime/security/api_keys.hpp"
#include "runtime/security/identity.hpp"
#include "tools/llmos/commands.hpp"
#include "tools/llmos/output.hpp"

namespace llmos {

namespace {

struct key_options {
  std::string what;
  std::string name;
};

exit_code add(const std::string& path, const std::string& owner) {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  LLMOS_CLI_TRY(const auto made, add_api_key(path, owner, now));
  LLMOS_CLI_TRY_VOID(write_out(made.key + "\n"));
  return exit_code::ok;
}

exit_code list(const std::string& path) {
  LLMOS_CLI_TRY(const auto table, read_api_keys(path));
  std::string out;
  for (const auto& k : table.keys()) out += k.id + "  " + k.created + "  " + k.owner + "\n";
  LLMOS_CLI_TRY_VOID(write_out(out));
  return exit_code::ok;
}

exit_code run(const key_options& o, const global_options& global) {
  LLMOS_CLI_TRY(const auto config, effective_config(global));
  const auto path = api_keys_path(config.http.keys, identity_folder(config.remote.identity));
  if ((o.what == "list") != o.name.empty()) {
    return report({ec::invalid_argument,
                   "llmos key " + o.what + (o.name.empty() ? " needs a name" : " takes no name"),
                   "llmos key --help"});
  }
  if (o.what == "list") return list(path);
  if (o.what == "add") return add(path, o.name);
  LLMOS_CLI_TRY_VOID(revoke_api_key(path, o.name));
  return exit_code::ok;
}

}  // namespace

void add_key(command_line& line) {
  const auto define = [](CLI::App& app, key_options& o) {
    app.add_option("what", o.what, "add, list or revoke")
        ->required()
        ->check(CLI::IsMember({"add", "list", "revoke"}));
    app.add_option("name", o.name, "Of add: whose key it is; of revoke: the id that list shows");
    app.footer(
        "Keys are for HTTP. A new one is shown once, and kept as a hash in http.keys. A node "
        "reads\n"
        "the file when it starts and on SIGHUP.\n\n"
        "Examples:\n"
        "  llmos key add billing\n"
        "  llmos key list\n"
        "  llmos key revoke 1f2e3d4c");
  };
  add_command<key_options>(line, "key", "Add, list and revoke API keys", define, run);
}

}  // namespace llmos

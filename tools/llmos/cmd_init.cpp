#include <chrono>
#include <filesystem>

#include "runtime/security/api_keys.hpp"
#include "runtime/security/identity.hpp"
#include "tools/llmos/commands.hpp"
#include "tools/llmos/output.hpp"

namespace llmos {

namespace {

struct init_options {
  std::string folder;
  std::vector<std::string> hosts;
  std::vector<std::string> clients;
};

/// Of those that are meant: "client" where none is named, unless it is there already.
result<std::vector<std::string>> make_clients(const init_options& o, const std::string& folder,
                                              std::chrono::sys_seconds now) {
  const identity_paths paths(folder);
  std::vector<std::string> names = o.clients;
  if (names.empty() && !std::filesystem::exists(paths.client_certificate("client"))) {
    names.emplace_back("client");
  }
  std::vector<std::string> written;
  for (const std::string& name : names) {
    LLMOS_TRY(const auto files, make_client_identity(folder, name, now));
    written.insert(written.end(), files.begin(), files.end());
  }
  return written;
}

exit_code run(const init_options& o, const global_options& global) {
  LLMOS_CLI_TRY(const auto config, effective_config(global));
  const std::string folder = identity_folder(o.folder.empty() ? config.remote.identity : o.folder);
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  LLMOS_CLI_TRY(auto written, make_node_identity(folder, o.hosts, now));
  LLMOS_CLI_TRY(const auto of_clients, make_clients(o, folder, now));
  written.insert(written.end(), of_clients.begin(), of_clients.end());
  std::string out;
  for (const std::string& path : written) out += path + "\n";
  const std::string keys = api_keys_path(config.http.keys, folder);
  if (!std::filesystem::exists(keys)) {
    LLMOS_CLI_TRY(const auto made, add_api_key(keys, "client", now));
    out += keys + "\n\nThe first API key, shown only now:\n" + made.key + "\n";
    written.push_back(keys);
  }
  if (written.empty()) write_error("Nothing to make: " + folder + " is complete\n");
  LLMOS_CLI_TRY_VOID(write_out(out));
  return exit_code::ok;
}

}  // namespace

void add_init(command_line& line) {
  const auto define = [](CLI::App& app, init_options& o) {
    app.add_option("--identity", o.folder,
                   "Folder of certificates and keys; default: remote.identity")
        ->type_name("FOLDER");
    app.add_option("--host", o.hosts, "A further name or address of this node; may be repeated")
        ->type_name("NAME")
        ->allow_extra_args(false);
    app.add_option("--client", o.clients,
                   "Make a certificate for this client; may be repeated; default: client")
        ->type_name("NAME")
        ->allow_extra_args(false);
    app.footer(
        "Makes what is missing and prints the files it wrote: a CA, the node's certificate, one "
        "for\n"
        "each client, their keys, and a first API key for HTTP. A client needs its own two files\n"
        "and ca.crt; who may connect is said by remote.clients. Keep ca.key where nobody else "
        "reads\n"
        "it.\n\n"
        "Examples:\n"
        "  llmos init\n"
        "  llmos init --host node.example.com --host 192.0.2.7\n"
        "  llmos init --client billing --client search");
  };
  add_command<init_options>(line, "init", "Make certificates for llmos serve and its clients",
                            define, run);
}

}  // namespace llmos

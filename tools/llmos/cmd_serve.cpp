#include <sys/resource.h>

#include <algorithm>
#include <csignal>

#include "actors/node.hpp"
#include "runtime/security/peer_table.hpp"
#include "tools/llmos/commands.hpp"
#include "tools/llmos/interrupts.hpp"
#include "tools/llmos/output.hpp"

namespace llmos {

namespace {

struct serve_options {};

/// One for each connection that there may be, and for files, threads and modules.
rlim_t num_descriptors(const node_config& c) {
  constexpr rlim_t others = 512;
  const rlim_t remote = c.remote.enabled ? peer_table::max_sockets(c.remote.max_connections) : 0;
  return remote + (c.http.enabled ? c.http.max_connections : 0) + others;
}

/// Without descriptors a node would turn away those whom it has a place for.
result<void> have_descriptors(const node_config& c) {
  const rlim_t n = num_descriptors(c);
  rlimit may{};
  if (::getrlimit(RLIMIT_NOFILE, &may) == 0 && may.rlim_cur >= n) return {};
  may.rlim_cur = n;
  may.rlim_max = std::max(may.rlim_max, n);  // for those who may raise it
  if (::setrlimit(RLIMIT_NOFILE, &may) == 0) return {};
  return failure{ec::invalid_argument,
                 "that many connections need " + std::to_string(n) +
                     " descriptors, more than this process may have",
                 "lower remote.max_connections or http.max_connections, or raise the limit "
                 "(ulimit -Hn, LimitNOFILE=)"};
}

/// A configuration that is wrong changes nothing.
void reload(node& system, const global_options& global) {
  const auto config = effective_config(global);
  const auto stays = config ? system.reload(*config) : config.error();
  if (!stays) {
    report(stays.error());
    return write_error("llmos: the configuration stays as it was\n");
  }
  for (const std::string& key : *stays) write_error("llmos: " + key + " needs a restart\n");
  write_error("llmos: the configuration was read again\n");
}

/// Until a signal says stop; a second one of those ends the program at once.
void wait_for_end(node& system, interrupts& signals, const global_options& global) {
  while (signals.wait() == SIGHUP) reload(system, global);
  signals.release();
}

std::string describe(const node_config& config, const node_ports& ports) {
  std::string out;
  if (ports.remote != 0) {
    out +=
        "services connect at " + config.remote.address + ":" + std::to_string(ports.remote) + "\n";
  }
  if (ports.http != 0) {
    out += std::string(config.http.tls ? "https://" : "http://") + config.http.address + ":" +
           std::to_string(ports.http) + "/v1\n";
  }
  return out;
}

exit_code run(const serve_options&, const global_options& global) {
  LLMOS_CLI_TRY(const auto config, effective_config(global));
  LLMOS_CLI_TRY_VOID(have_descriptors(config));
  interrupts signals;  // before any thread
  node_hooks hooks;
  hooks.has_ports = true;
  LLMOS_CLI_TRY(const auto system, node::start(config, hooks));
  LLMOS_CLI_TRY(const node_ports ports, system->serve());
  LLMOS_CLI_TRY_VOID(write_out(describe(config, ports)));
  wait_for_end(*system, signals, global);
  write_error("llmos: draining\n");
  system->stop(node::stop_mode::drain);
  return exit_code::ok;
}

}  // namespace

void add_serve(command_line& line) {
  const auto define = [](CLI::App& app, serve_options&) {
    app.footer(
        "Runs in the foreground until SIGTERM or Ctrl-C, then finishes what runs "
        "(kernel.drain_ms).\n"
        "SIGHUP reads configuration and API keys again; what is wrong changes nothing.\n"
        "Certificates come from remote.identity; llmos init makes them. Listens on loopback "
        "unless\n"
        "remote.address says otherwise.\n\n"
        "Examples:\n"
        "  llmos init && llmos serve\n"
        "  llmos serve --set remote.address=0.0.0.0 --set 'remote.clients=[billing, search]'");
  };
  add_command<serve_options>(line, "serve", "Serve other processes", define, run);
}

}  // namespace llmos

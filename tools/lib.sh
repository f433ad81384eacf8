# shellcheck shell=bash disable=SC2034
# Sourced by the scripts beside it: how they speak, what they install and how they build.

# What the program needs to be built, and what fetches the default model.
build_packages=(
  g++ meson ninja-build pkg-config
  libboost1.81-dev libcaf-dev libcli11-dev libedit-dev libpcre2-dev libspdlog-dev libssl-dev
  libyaml-cpp-dev nlohmann-json3-dev
  ca-certificates curl python3 python3-pip
)
# What the tests need beside that: clang 14 builds the sanitised programs and the fuzz targets.
test_packages=(clang-14 clang-format-14 doctest-dev git libclang-rt-14-dev python3-venv)
# A client of the node from PyPI, in a virtual environment of the build folder.
openai_package=openai==3.57.0
# google-benchmark: the programs of tools/bench are built where it is.
bench_packages=(libbenchmark-dev)
# What builds runtime/ and its tests for aarch64 and runs them, and what they link there.
cross_packages=(g++-aarch64-linux-gnu qemu-user)
cross_libraries=(doctest-dev libboost1.81-dev libpcre2-dev libspdlog-dev libssl-dev libyaml-cpp-dev
  nlohmann-json3-dev)

# What a script leaves to nobody; one that ends in exec calls clean_up before.
temporary=()
clean_up() {
  # shellcheck disable=SC2046
  kill $(jobs -p) 2>/dev/null || true
  ((${#temporary[@]} == 0)) || rm -rf "${temporary[@]}"
}
trap clean_up EXIT

say() { printf '%s\n' "$*" >&2; }

# Ends the script: what is wrong, then one line for each thing to do about it.
die() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  shift
  (($# == 0)) || printf '  -> %s\n' "$@" >&2
  exit 1
}

# How to become root here: nothing, sudo, or a failure.
root_command() {
  if [ "$(id -u)" = 0 ]; then
    echo
  elif command -v sudo >/dev/null; then
    echo sudo
  else
    return 1
  fi
}

missing_packages() {
  dpkg-query -W -f='${db:Status-Status} ${binary:Package}\n' "$@" 2>/dev/null |
    awk -v want="$*" '
      $1 == "installed" { sub(/:.*/, "", $2); have[$2] }
      END { n = split(want, w, " "); for (i = 1; i <= n; ++i) if (!(w[i] in have)) print w[i] }'
}

# Installs those of the named Debian packages that are missing. The package lists are fetched only
# when they do not know a package or are too old to install it.
install_packages() {
  if ! command -v dpkg-query >/dev/null; then
    say "This is not Debian: installing nothing. Needed, by their Debian names: $*"
    return
  fi
  local missing as_root
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]} > 0)) || return 0
  . /etc/os-release
  [ "${ID:-}-${VERSION_ID:-}" = debian-12 ] ||
    say "Tried on Debian 12 only; this is ${PRETTY_NAME:-something else}. Going on."
  as_root=$(root_command) || die "missing packages, and neither root nor sudo to install them" \
    "as root: apt-get install ${missing[*]}" "then run this again"
  say "Installing ${#missing[@]} Debian packages: ${missing[*]}"
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
  [ -z "$as_root" ] || apt=("$as_root" "${apt[@]}")
  local install=("${apt[@]}" install -y --no-install-recommends "${missing[@]}")
  apt_knows "${missing[@]}" && logged "${install[@]}" && return
  say "Fetching the package lists"
  # Its status says little: unreachable servers are warnings, a stray third source is an error.
  logged "${apt[@]}" update || true
  apt_knows "${missing[@]}" || die "apt-get update found no lists of them: $(tail -n 3 "$log")" \
    "no network? check it and /etc/apt/sources.list, then run this again" \
    "this needs Debian 12 (bookworm) with its 'main' section"
  logged "${install[@]}" || die "apt-get could not install the packages: $(tail -n 5 "$log")" \
    "no space: df -h / ; interrupted earlier: dpkg --configure -a"
}

# Runs a command with its words in the file $log.
logged() {
  [ -n "${log:-}" ] || { log=$(mktemp) && temporary+=("$log"); }
  "$@" >"$log" 2>&1 </dev/null
}

apt_knows() {
  local known
  known=$(apt-cache show --no-all-versions "$@" 2>/dev/null | grep -c '^Package: ') || true
  ((known >= $#))
}

need_space() {  # need_space FOLDER MEGABYTES WHAT_FOR
  local free
  free=$(df --output=avail -m "$1" | tail -n 1)
  ((free >= $2)) || die "$3 needs $2 MB, $1 has ${free// /} MB free" \
    "free some space there, or name another folder"
}

# Compile jobs: one per processor, but no more than there are gigabytes of free memory.
build_jobs() {
  local jobs=1 free_kib limit used
  free_kib=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)
  if read -r limit 2>/dev/null </sys/fs/cgroup/memory.max && [ "$limit" != max ]; then
    read -r used </sys/fs/cgroup/memory.current
    (((limit - used) / 1024 >= free_kib)) || free_kib=$(((limit - used) / 1024))
  fi
  jobs=$((free_kib / 1024 / 1024))
  ((jobs <= $(nproc))) || jobs=$(nproc)
  echo $((jobs > 0 ? jobs : 1))
}

# Makes a build folder, or gives an existing one the -D options it lacks: set_up FOLDER [OPTION…]
set_up() {
  local folder=$1
  shift
  if [ ! -e "$folder/build.ninja" ]; then
    logged meson setup "$folder" "$@"
  else
    local option options=()
    for option; do [[ $option != -D* ]] || options+=("$option"); done
    ((${#options[@]} == 0)) || options_hold "$folder" "${options[@]}" ||
      logged meson configure "$folder" "${options[@]}"
  fi || die "meson could not set up $folder: $(tail -n 15 "$log")" \
    "a folder that was moved or made by another meson: remove $folder and run this again"
}

options_hold() {  # options_hold FOLDER -Dname=value…
  local folder=$1
  shift
  python3 - "$folder" "$@" <<'PY'
import json, subprocess, sys
shown = subprocess.run(["meson", "introspect", sys.argv[1], "--buildoptions"],
                       capture_output=True, text=True)
if shown.returncode != 0: sys.exit(1)
have = {o["name"]: o["value"] for o in json.loads(shown.stdout)}
def text(v):
    return str(v).lower() if isinstance(v, bool) else ",".join(v) if isinstance(v, list) else str(v)
wanted = (a.removeprefix("-D").split("=", 1) for a in sys.argv[2:])
sys.exit(any(text(have.get(name)) != value for name, value in wanted))
PY
}

# build FOLDER [TARGET…]
build() {
  local folder=$1
  shift
  ninja -C "$folder" -j "$(build_jobs)" "$@" >&2 || die "building $folder failed (see above)" \
    "a compiler was killed? too little memory: close other programs, or ninja -C $folder -j 1" \
    "no space left? df -h ."
}

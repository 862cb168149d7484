# Debian's packages: from the machine's own sources, or from one further suite of the same archive
# that is read through a private view and leaves the machine's apt configuration as it is.

# Fails with instructions where apt cannot be used.
require_apt_and_root() {
    command -v apt-get >/dev/null || explain_requirements "This is not Debian or a relative of it."
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
        explain_requirements "Installing packages needs root or sudo."
}

explain_requirements() {
    cat >&2 <<END
setup: $1
Please install these, and run this again:
  1. Python 3.11 or newer, with its venv module
  2. mosquitto 2.0.21 or newer, with mosquitto_sub and mosquitto_pub
  3. PostgreSQL 15 or newer, with the TimescaleDB extension
  4. pgbouncer and strace, for the tests
Or use what runs elsewhere, in place of 2 and 3:
  PENSTOCK_TEST_MQTT=mqtt://[USER:PASSWORD@]HOST:PORT
  PENSTOCK_TEST_DSN=postgresql://USER@HOST:PORT/DATABASE   (a role that may create databases)
END
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

apt_update() {
    say "Asking Debian's archive what it offers (apt-get update)."
    as_root apt-get update -qq
}

# The version that apt would install of package $1; empty when it offers none.
apt_candidate() {
    apt-cache policy "$1" | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'
}

# The version of package $1 that is installed; empty when it is not.
installed_version() {
    dpkg-query --show --showformat '${db:Status-Abbrev}${Version}' "$1" 2>/dev/null |
        sed -n 's/^ii //p'
}

version_at_least() {
    dpkg --compare-versions "$1" ge "$2"
}

# Installs packages, or .deb files by path, without any service that they bring.
install_packages() {
    say "Installing $(basename -a "$@" | tr '\n' ' ')"
    # The files are where apt's own download user may not read.
    without_new_services logged as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq \
        --yes --no-install-recommends -o DPkg::Lock::Timeout=300 \
        -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 "$@"
}

# Downloads from another suite of the machine's archive into directory $3, signatures verified:
#   fetch_from_suite deb     SUITE DIRECTORY PACKAGE...
#   fetch_from_suite deb-src SUITE DIRECTORY PACKAGE
fetch_from_suite() {
    local type=$1 suite=$2 directory=$3
    shift 3
    local view=$SCRATCH/apt/$suite
    mkdir -p "$view/sources" "$view/lists/partial" "$directory"
    write_source "$type" "$suite" >"$view/sources/$suite.sources"

    local options=(
        -qq
        -o Dir::Etc::SourceList=/dev/null
        -o Dir::Etc::SourceParts="$view/sources"
        -o Dir::State::Lists="$view/lists"
        -o Dir::Cache::PkgCache= -o Dir::Cache::SrcPkgCache=
        # The view is where apt's own download user may not write.
        -o APT::Sandbox::User=root
    )
    logged apt-get "${options[@]}" update
    case $type in
        deb) (cd "$directory" && logged apt-get "${options[@]}" download "$@") ;;
        deb-src) (cd "$directory" && logged apt-get "${options[@]}" source --download-only "$@") ;;
    esac
    rm -rf "$SCRATCH/apt"
}

write_source() {
    local type=$1 suite=$2 keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    printf 'Types: %s\nURIs: %s\nSuites: %s\nComponents: main\n' "$type" "$(archive_uri)" "$suite"
    [ ! -e $keyring ] || printf 'Signed-By: %s\n' $keyring
}

# Where this machine gets its release's main archive from, as its own sources say.
archive_uri() {
    local uri
    # apt's own placeholders, not the shell's.
    # shellcheck disable=SC2016
    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
        "Codename: $(release_codename)" 'Component: main' 'Origin: Debian' | sed -n 1p)
    [ -n "$uri" ] || fail "apt's configuration names no archive for $(release_codename)."
    echo "$uri"
}

release_codename() {
    # shellcheck source=/dev/null
    (. /etc/os-release && echo "${VERSION_CODENAME:-unknown}")
}

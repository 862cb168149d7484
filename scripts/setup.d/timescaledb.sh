# PostgreSQL with TimescaleDB: an installed one, a packaged one, or on Debian 12, which has none, the
# next Debian's source package built against PostgreSQL 15.

readonly POSTGRESQL_OLDEST=15
readonly BUILT_FOR=15
readonly BUILD_PACKAGES=(cmake dpkg-dev gcc libc6-dev libkrb5-dev libssl-dev make)

timescaledb_ready() {
    [ -n "${PENSTOCK_TEST_DSN:-}" ] && return
    local pg_config
    for pg_config in /usr/lib/postgresql/*/bin/pg_config $(command -v pg_config); do
        has_timescaledb "$pg_config" && return
    done
    return 1
}

timescaledb_plan() {
    local package
    package=$(timescaledb_package)
    if [ -n "$package" ]; then
        plan "$package $(apt_candidate "$package"), with the PostgreSQL that it is for"
        return
    fi
    [ "$(release_codename)" = bookworm ] ||
        explain_requirements "apt offers no package of TimescaleDB on this release."
    plan "PostgreSQL $BUILT_FOR and what building an extension of it needs: $(build_packages)"
    plan "TimescaleDB, Apache edition, without telemetry, built from Debian 13's source package" \
        "into that PostgreSQL's extension folder"
}

timescaledb_install() {
    local package
    package=$(timescaledb_package)
    if [ -n "$package" ]; then
        install_packages "$package"
    else
        # shellcheck disable=SC2046
        install_packages $(build_packages)
        build_timescaledb
    fi
}

has_timescaledb() {
    local pg_config=$1
    [ -x "$pg_config" ] && [ -e "$("$pg_config" --sharedir)/extension/timescaledb.control" ] &&
        [ -x "$("$pg_config" --bindir)/initdb" ] &&
        [ "$("$pg_config" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')" -ge $POSTGRESQL_OLDEST ]
}

# The package for an installed PostgreSQL if there is one, else for the newest that is offered.
timescaledb_package() {
    local package version installed='' newest=''
    for package in $(apt-cache search --names-only '^postgresql-[0-9]+-timescaledb$' |
        cut -d ' ' -f 1 | sort -V); do
        version=$(cut -d - -f 2 <<<"$package")
        [ "$version" -ge $POSTGRESQL_OLDEST ] || continue
        [ -n "$(apt_candidate "$package")" ] || continue
        newest=$package
        [ -z "$(installed_version "postgresql-$version")" ] || installed=$package
    done
    echo "${installed:-$newest}"
}

# The headers must be of the server's own minor release: TimescaleDB has been broken before by
# structures that grew between two of them.
build_packages() {
    local server=postgresql-$BUILT_FOR headers=postgresql-server-dev-$BUILT_FOR version
    version=$(installed_version $server)
    if [ -n "$version" ] && apt-cache madison $headers | grep -qwF -- "$version"; then
        echo "$headers=$version" "${BUILD_PACKAGES[@]}"
    else
        echo $server $headers "${BUILD_PACKAGES[@]}" debian-archive-keyring
    fi
}

build_timescaledb() {
    local work=$SCRATCH/timescaledb
    rm -rf "$work"
    fetch_from_suite deb-src trixie "$work" timescaledb
    say "Building TimescaleDB"
    logged dpkg-source --extract "$work"/*.dsc "$work/source"
    logged cmake -S "$work/source" -B "$work/build" -DCMAKE_BUILD_TYPE=Release \
        -DPG_CONFIG=/usr/lib/postgresql/$BUILT_FOR/bin/pg_config \
        -DAPACHE_ONLY=ON -DSEND_TELEMETRY_DEFAULT=OFF -DUSE_TELEMETRY=OFF \
        -DREGRESS_CHECKS=OFF -DTAP_CHECKS=OFF -DWARNINGS_AS_ERRORS=OFF \
        -DGENERATE_DOWNGRADE_SCRIPT=OFF
    logged cmake --build "$work/build" --parallel "$(nproc)"
    logged as_root cmake --install "$work/build"
    rm -rf "$work"
}

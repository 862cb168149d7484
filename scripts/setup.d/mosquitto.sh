# The broker. Older ones than this lose MQTT 5 sessions when they restart.

readonly MOSQUITTO_OLDEST=2.0.21
readonly MOSQUITTO_PACKAGES=(mosquitto mosquitto-clients)

mosquitto_ready() {
    [ -n "${PENSTOCK_TEST_MQTT:-}" ] && return
    command -v mosquitto_sub >/dev/null && command -v mosquitto_pub >/dev/null &&
        sort -CV <<<"$MOSQUITTO_OLDEST"$'\n'"$(mosquitto_version)"
}

mosquitto_plan() {
    plan "mosquitto $MOSQUITTO_OLDEST or newer and its clients, from $(mosquitto_source)"
}

mosquitto_install() {
    if mosquitto_offered; then
        install_packages "${MOSQUITTO_PACKAGES[@]}"
        return
    fi
    local debs=$SCRATCH/mosquitto
    fetch_from_suite deb "$(release_codename)-backports" "$debs" \
        "${MOSQUITTO_PACKAGES[@]}" libmosquitto1
    install_packages "$debs"/*.deb
    rm -rf "$debs"
}

mosquitto_source() {
    if mosquitto_offered; then echo "Debian"; else echo "Debian's $(release_codename)-backports"; fi
}

mosquitto_offered() {
    version_at_least "$(apt_candidate mosquitto)" $MOSQUITTO_OLDEST
}

# "0" where there is none. Its folder is often missing from the PATH of a user who is not root, and
# it exits with a failure after it has shown its help.
mosquitto_version() {
    local help
    help=$(PATH=$PATH:/usr/local/sbin:/usr/sbin mosquitto -h 2>/dev/null || true)
    sed -n '1s/^mosquitto version //p' <<<"${help:-mosquitto version 0}"
}

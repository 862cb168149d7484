# Installs packages while nothing that they bring is started, enabled or created as a service.

readonly POLICY=/usr/sbin/policy-rc.d
readonly NO_CLUSTER=/etc/postgresql-common/createcluster.d/penstock-setup.conf

# Runs the command in "$@", then disables whatever it enabled. A service that was enabled or running
# before stays so. All of it is undone when the command ends this script, too.
without_new_services() {
    enabled_before=$(enabled_services)
    trap return_services EXIT
    set_guards
    "$@"
    trap - EXIT
    return_services
}

return_services() {
    as_root rm -f "${guards[@]}"
    [ ${#guard_folders[@]} -eq 0 ] || as_root rmdir --ignore-fail-on-non-empty "${guard_folders[@]}"
    disable_services_other_than "$enabled_before"
}

set_guards() {
    guards=()
    guard_folders=()
    [ -e $POLICY ] || add_guard $POLICY <<<$'#!/bin/sh\nexit 101'
    [ -e $NO_CLUSTER ] || add_guard $NO_CLUSTER <<<'create_main_cluster = false'
}

add_guard() {
    local folder
    for folder in "$(dirname "$(dirname "$1")")" "$(dirname "$1")"; do
        [ -d "$folder" ] && continue
        as_root mkdir "$folder"
        guard_folders=("$folder" "${guard_folders[@]}")
    done
    guards+=("$1")
    as_root tee "$1" >/dev/null
    as_root chmod 755 "$1"
}

# One line for each unit that starts with the machine or with another unit, and for each init script
# that does.
enabled_services() {
    find /etc/systemd/system -path '*.wants/*' -type l -printf 'unit %f\n' 2>/dev/null || true
    { find /etc/rc[2-5].d -name 'S*' -printf 'script %f\n' 2>/dev/null || true; } | sed 's/ S[0-9]*/ /'
}

disable_services_other_than() {
    local kind name
    comm -13 <(sort -u <<<"$1") <(enabled_services | sort -u) | while read -r kind name; do
        case $kind in
            unit) disable_unit "$name" ;;
            script) as_root update-rc.d "$name" disable ;;
        esac
    done
}

disable_unit() {
    if [ -d /run/systemd/system ]; then
        as_root systemctl --quiet disable --now "$1"
    else
        # Remembers the choice for the package's next upgrade, and needs no running systemd.
        as_root deb-systemd-helper disable "$1" >/dev/null
    fi
}

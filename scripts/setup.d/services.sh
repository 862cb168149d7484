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

# The links by which units start with the machine or with another unit, and by which init scripts do.
enabled_services() {
    find /etc/systemd/system -path '*.wants/*' -type l 2>/dev/null || true
    find /etc/rc[2-5].d -name 'S*' 2>/dev/null || true
}

disable_services_other_than() {
    local link
    comm -13 <(sort <<<"$1") <(enabled_services | sort) | while read -r link; do
        case $link in
            /etc/rc*) disable_script "${link##*/S[0-9][0-9]}" ;;
            *) disable_unit "$link" ;;
        esac
    done
}

disable_script() {
    as_root update-rc.d "$1" disable
}

# Does what `systemctl disable --now` does, also where there is no systemd yet.
disable_unit() {
    as_root rm -f "$1"
    [ ! -d /run/systemd/system ] || as_root systemctl --quiet stop "${1##*/}"
}

# What only the tests need: a connection pooler to go through, and what fails system calls on purpose.

readonly TEST_TOOLS=(pgbouncer strace)

test_tools_ready() {
    [ -z "$(missing_test_tools)" ]
}

test_tools_plan() {
    plan "Debian's $(missing_test_tools | paste -sd ' '), for the tests alone"
}

test_tools_install() {
    # shellcheck disable=SC2046
    install_packages $(missing_test_tools)
}

# Packages and their programs have the same names. The folder of servers is often missing from the
# PATH of a user who is not root.
missing_test_tools() {
    local tool
    for tool in "${TEST_TOOLS[@]}"; do
        PATH=$PATH:/usr/local/sbin:/usr/sbin command -v "$tool" >/dev/null || echo "$tool"
    done
}

# The virtual environment. A stamp in it names the lock and the project that it was filled from.

readonly VENV=.venv
readonly LOCK=requirements-dev.lock
readonly VENV_STAMP=$VENV/.penstock-setup

# Sets BASE_PYTHON, which the virtual environment is made with; not needed where one is already.
choose_python() {
    venv_usable && return
    for BASE_PYTHON in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3}; do
        python_new_enough "$BASE_PYTHON" && return
    done
    explain_requirements "Python 3.11 or newer was not found."
}

python_venv_ready() {
    venv_usable || "$BASE_PYTHON" -c 'import ensurepip, venv' 2>/dev/null
}

python_venv_plan() {
    plan "Debian's python$(python_minor)-venv, so that $BASE_PYTHON can make virtual environments"
}

python_venv_install() {
    install_packages "python$(python_minor)-venv"
}

python_packages_ready() {
    venv_usable && [ "$(cat "$VENV_STAMP" 2>/dev/null)" = "$(venv_fingerprint)" ]
}

python_packages_plan() {
    plan "$(grep -c '==' $LOCK) Python packages, locked with hashes in $LOCK, into $VENV"
}

python_packages_install() {
    say "Installing the Python packages"
    venv_usable || logged "$BASE_PYTHON" -m venv --clear $VENV
    rm -f "$VENV_STAMP"
    venv_pip install --require-hashes --requirement $LOCK
    venv_pip install --no-deps --no-build-isolation --editable .
    venv_fingerprint >"$VENV_STAMP"
}

venv_usable() {
    python_new_enough $VENV/bin/python && [ -x $VENV/bin/pip ]
}

venv_pip() {
    logged $VENV/bin/python -m pip --disable-pip-version-check --no-input "$@"
}

venv_fingerprint() {
    cat $LOCK pyproject.toml daemon/penstock/__init__.py | sha256sum
}

python_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

python_minor() {
    "$BASE_PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])'
}

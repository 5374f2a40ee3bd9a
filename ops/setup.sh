# What ops/run and ops/test share: a Python, a virtual environment, the locked packages.  Sourced, from the root.
# VENV names another environment than .venv, PYTHON another interpreter than the first that fits.

VENV=${VENV:-.venv}
case $VENV in /*) ;; *) VENV=$PWD/$VENV ;; esac

say() { printf -- '-- %s\n' "$*"; }
fail() { printf '%s: %s\n' "$0" "$*" >&2; exit 1; }

# Prints the first interpreter the lock files were made for, else the first newer one; it must be able to make a venv.
find_python() {
  local newest candidate
  for newest in 13 99; do
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.14; do
      if "$candidate" -c "import sys, venv, ensurepip; sys.exit(not (3, 11, 2) <= sys.version_info[:3] < (3, $newest + 1))" \
        2>/dev/null; then
        printf '%s\n' "$candidate"
        return
      fi
    done
  done
  return 1
}

make_venv() {
  "$VENV/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11, 2))' 2>/dev/null && return
  local python
  python=$(find_python) ||
    fail "needs Python 3.11.2 or newer with its venv module (on Debian and Ubuntu: apt-get install python3-venv)"
  say "making $VENV with $("$python" --version)"
  "$python" -m venv --clear "$VENV" || fail "$python could not make $VENV"
}

# Installs with uv where there is one, for its speed; pip knows more about mirrors and certificates and is asked next.
pip_install() {
  if command -v uv >/dev/null && uv pip install --quiet --python "$VENV/bin/python" "$@"; then return; fi
  "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@"
}

# install_locked run|dev: the environment as the lock files say, and the `sos` command; nothing when it is so already.
install_locked() {
  make_venv
  local files="ops/requirements/$1.txt ops/requirements/build.txt pyproject.toml" stamp="$VENV/.sos-locked" wanted
  # shellcheck disable=SC2086
  wanted="$1 $(cat $files | "$VENV/bin/python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')"
  [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
  say "installing the locked packages into $VENV (the first time takes a minute or two)"
  rm -f "$stamp"
  pip_install --require-hashes -r "ops/requirements/$1.txt" -r ops/requirements/build.txt ||
    fail "the packages of ops/requirements/$1.txt could not be installed: is a package registry reachable?"
  pip_install --no-deps --no-build-isolation --editable . || fail "the project itself could not be installed into $VENV"
  printf '%s\n' "$wanted" >"$stamp"
}

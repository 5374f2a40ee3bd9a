# What ops/run and ops/test share: a Python, a virtual environment, the locked packages.  Sourced, from the root.
# VENV names another environment than .venv, PYTHON another interpreter than the first that fits.

# Where this is set, as in many containers, each test worker and each process of a test compiles everything anew.
unset PYTHONDONTWRITEBYTECODE

# Servers' own tools lie there: PostgreSQL's start as root makes a user with one, and a bare environment does not look.
PATH=$PATH:/usr/sbin:/sbin

VENV=${VENV:-.venv}
case $VENV in /*) ;; *) VENV=$PWD/$VENV ;; esac

say() { printf -- '-- %s\n' "$*"; }
fail() { printf '%s: %s\n' "$0" "$*" >&2; exit 1; }

# fits PYTHON [NEWEST]: whether it is 3.11.2 or newer, of a release up to 3.NEWEST, and can make an environment.
fits() {
  "$1" -c "import sys, venv, ensurepip; sys.exit(not (3, 11, 2) <= sys.version_info[:3] < (3, ${2:-99} + 1))" 2>/dev/null
}

# Prints the first interpreter the lock files were made for, else the first newer one.
find_python() {
  local newest candidate
  if [ -n "${PYTHON:-}" ]; then fits "$PYTHON" && printf '%s\n' "$PYTHON"; return; fi
  for newest in 13 99; do
    for candidate in python3 python3.13 python3.12 python3.11 python3.14; do
      if fits "$candidate" $newest; then printf '%s\n' "$candidate"; return; fi
    done
  done
  return 1
}

# What is wrong with the interpreter that was named, or with python3.
unfit() {
  local python=${PYTHON:-python3}
  "$python" -c 'import platform, sys
short = " and has no venv module (on Debian and Ubuntu: apt-get install python3-venv)"
print("is", platform.python_version(), end="" if sys.version_info[:3] < (3, 11, 2) else short)' 2>/dev/null ||
    printf 'is not there'
}

make_venv() {
  "$VENV/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11, 2))' 2>/dev/null && return
  local python
  python=$(find_python) ||
    fail "needs Python 3.11.2 or newer with its venv module; ${PYTHON:-python3} $(unfit)." \
      "PYTHON=/path/to/python $0 takes another"
  say "making $VENV with $("$python" --version)"
  "$python" -m venv --clear "$VENV" ||
    fail "$python could not make $VENV: can this directory be written?  VENV=/another/place $0 takes another"
}

# Installs with uv where there is one, for its speed; pip knows more about mirrors and certificates and is asked next.
pip_install() {
  if command -v uv >/dev/null && uv pip install --quiet --python "$VENV/bin/python" "$@"; then return; fi
  # 21.3 is the first that installs a project where it lies without a setup.py (PEP 660).
  "$VENV/bin/python" -c 'import pip, sys; sys.exit([int(n) for n in pip.__version__.split(".")[:2]] < [21, 3])' ||
    fail "the pip in $VENV is older than 21.3 and cannot install what is locked: $VENV/bin/python -m pip install -U pip"
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

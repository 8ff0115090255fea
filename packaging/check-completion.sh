#!/bin/bash
# Completion as bash does it: for each line, what is offered at its end.
#
# usage: check-completion.sh PATH_OF_ZNIPPY
set -u
tool=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=packaging/bash-completion.sh
source "$here/bash-completion.sh"
cd "$work" || exit 1
mkdir -p tree/sub other
echo text > tree/sub/file
echo text > tree/first
"$tool" pack -q tree a.znippy || exit 1
failures=0

# offers "WORD..." CANDIDATE...: exactly these are offered after the words; the last word is the one to complete.
offers() {
    local line=$1 got wanted
    shift
    read -r -a COMP_WORDS <<< "$line"
    [[ $line != *' ' ]] || COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _znippy "$tool" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    got=$(printf '%s\n' "${COMPREPLY[@]}" | sort)
    wanted=$(printf '%s\n' "$@" | sort)
    if [[ $got != "$wanted" ]]; then
        printf 'check-completion: after "%s" came: %s; wanted: %s\n' "$line" "${got//$'\n'/ }" "${wanted//$'\n'/ }" >&2
        failures=$((failures + 1))
    fi
}

# All commands of the overview, and nothing else.
mapfile -t commands < <("$tool" help | sed -n 's/^  \([a-z][a-z-]*\).*/\1/p' | sort -u)
offers 'znippy ' "${commands[@]}" --version
offers 'znippy unp' unpack
offers 'znippy help opt' options
# Options of each command are those of its help.
for command in "${commands[@]}"; do
    [[ $command != help ]] || continue
    mapfile -t options < <("$tool" help "$command" | grep -oE '^  (-., )?--[a-z0-9-]+' | grep -oE -- '--.*')
    offers "znippy $command --" "${options[@]}"
done
offers 'znippy unpack --overwrite ' refuse replace keep older
offers 'znippy unpack --overwrite re' refuse replace
offers 'znippy pack --preset f' fast
offers 'znippy pack --set lev' level=
offers 'znippy pack --level ' ''
# Operands: a directory, an archive, a name in it.
offers 'znippy pack t' tree
offers 'znippy pack -l 3 tree a' a.znippy
offers 'znippy unpack a' a.znippy
offers 'znippy unpack --threads 2 a.znippy o' other
offers 'znippy cat a.znippy sub/' sub/file
offers 'znippy list a.znippy first s' sub sub/file
offers 'znippy cat a.znippy sub/file x' ''
[[ $failures -eq 0 ]] && echo "completion offers what the tool knows"

# shellcheck shell=bash
# Completion of znippy for bash. Commands, options, their values and the names in archives are asked of the tool
# itself, so that nothing here has to follow it.

# Takes the lines of standard input that begin with the current word.
_znippy_take() {
    local line
    while IFS= read -r line; do
        [[ $line != "$current"* ]] || COMPREPLY+=("$line")
    done
}

_znippy_commands() {
    "$tool" help 2> /dev/null | sed -n 's/^  \([a-z][a-z-]*\).*/\1/p' | sort -u
}

# The options of a command, one a line, with what they call their value: "--level LEVEL", "-l LEVEL", "--json".
_znippy_options() {
    "$tool" help "$command" 2> /dev/null | awk '/^  (-., )?--/ {
        at = $1 ~ /^--/ ? 1 : 2
        rest = substr($0, index($0, $at) + length($at))
        value = rest ~ /^ [^ ]/ ? " " $(at + 1) : ""
        print $at value
        if (at == 2) print substr($1, 1, 2) value
    }'
}

# The value of an option, which the help calls $2.
_znippy_value() {
    if [[ $1 == --set ]]; then
        compopt -o nospace 2> /dev/null
        _znippy_take < <("$tool" help options 2> /dev/null | sed -n 's/^  \([a-z][a-z0-9-]*\)\( .*\)\{0,1\}$/\1=/p')
    elif [[ $1 == --preset ]]; then
        _znippy_take < <(printf '%s\n' default fast small max random)
    elif [[ $2 == *'|'* ]]; then
        _znippy_take < <(tr '|' '\n' <<< "$2")
    elif [[ $2 == *FILE* || $2 == *DIR* ]]; then
        compopt -o filenames 2> /dev/null
        _znippy_take < <(compgen -f -- "$current")
    fi
}

# An operand, which the usage line calls $1; $2 is the operand before it that may be an archive.
_znippy_operand() {
    compopt -o filenames 2> /dev/null
    case $1 in
    *ARCHIVE*)
        _znippy_take < <(compgen -d -- "$current")
        if [[ $command == convert ]]; then
            _znippy_take < <(compgen -f -- "$current")
        else
            _znippy_take < <(compgen -f -X '!*.znippy' -- "$current")
        fi
        ;;
    *PATH* | *NAME*) _znippy_take < <("$tool" list "$2" 2> /dev/null | grep -F -m 1000 -- "$current") ;;
    *) _znippy_take < <(compgen -d -- "$current") ;;
    esac
}

_znippy() {
    local tool=$1 current=$2 previous=$3 command=${COMP_WORDS[1]} options found names operands=() i
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        _znippy_take < <(_znippy_commands; echo --version)
        return 0
    fi
    if [[ $command == help ]]; then
        _znippy_take < <(_znippy_commands; echo options)
        return 0
    fi
    options=$(_znippy_options)
    if [[ $previous == -* ]] && found=$(grep -e "^$previous " <<< "$options"); then
        _znippy_value "$previous" "${found#* }"
        return 0
    fi
    if [[ $current == -* ]]; then
        _znippy_take < <(cut -d ' ' -f 1 <<< "$options" | grep -e '^--')
        return 0
    fi
    # Which operand is it? Values of options are none.
    for ((i = 2; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} != -* ]]; then
            operands+=("${COMP_WORDS[i]}")
        elif grep -q -e "^${COMP_WORDS[i]} " <<< "$options"; then
            ((i++))
        fi
    done
    read -r -a names < <("$tool" help "$command" 2> /dev/null | sed -n '1s/^usage: znippy [a-z-]* \[OPTION\]... //p')
    i=${#operands[@]}
    if ((i >= ${#names[@]} && ${#names[@]} > 0)) && [[ ${names[-1]} == *... ]]; then
        i=$((${#names[@]} - 1))
    fi
    if ((i < ${#names[@]})); then
        _znippy_operand "${names[i]}" "${operands[0]:-}"
    fi
}

complete -F _znippy znippy

"""Completion scripts for bash, zsh and fish, generated from the table of commands.

Pressing Tab runs a program only for the names of sites, processes and revisions: `blue-green
status` with `--names`, `--process-names` or `--revision-names`, which is quick and prints nothing
on errors. The latter two get the `--site` that was typed.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence

from blue_green.cli.completion_words import Option, Words


def bash(commands: Sequence[Words]) -> str:
    """For `source <(blue-green completion bash)`."""
    cases = []
    for command in commands:
        options = [name for option in command.options for name in option.names]
        filed = [n for option in command.options if option.takes_file for n in option.names]
        cases.append(f"""\
        {command.name})
            words={shlex.quote(" ".join(options))}
            offers={shlex.quote(" ".join(command.offers))}
            valued={shlex.quote(" ".join(command.valued))}
            filed={shlex.quote(" ".join(filed))}
            takes_file={"yes" if command.takes_file else ""}
            takes_site={"yes" if command.takes_site else ""}
            takes_process={"yes" if command.takes_process else ""}
            takes_revision={"yes" if command.takes_revision else ""}
            ;;
""")
    names = " ".join(command.name for command in commands)
    return f"""\
# bash completion for blue-green: source <(blue-green completion bash)
_blue_green_names() {{
    local at finds=()
    for (( at = 2; at < COMP_CWORD - 1; at++ )); do
        case ${{COMP_WORDS[at]}} in
            --config|--socket) finds+=("${{COMP_WORDS[at]}}" "${{COMP_WORDS[at+1]}}") ;;
            --site) [[ $1 == --names ]] || finds+=(--site "${{COMP_WORDS[at+1]}}") ;;
        esac
    done
    "${{COMP_WORDS[0]}}" status "$1" "${{finds[@]}}" 2>/dev/null
}}
_blue_green_is_given() {{
    local at
    for (( at = 2; at < COMP_CWORD; at++ )); do
        if [[ ${{COMP_WORDS[at]}} != -* ]]; then
            return 0
        elif [[ " $1 " == *" ${{COMP_WORDS[at]}} "* ]]; then
            (( at++ ))
        fi
    done
    return 1
}}
_blue_green() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
    local command=${{COMP_WORDS[1]}} words='' offers='' valued='' filed=''
    local takes_file='' takes_site='' takes_process='' takes_revision=''
    COMPREPLY=()
    if (( COMP_CWORD == 1 )); then
        COMPREPLY=($(compgen -W '{names} --help --version' -- "$current"))
        return
    fi
    case $command in
{"".join(cases)}    esac
    if [[ $previous == --site ]]; then
        COMPREPLY=($(compgen -W "$(_blue_green_names --names)" -- "$current"))
        return
    elif [[ $previous == --process ]]; then
        COMPREPLY=($(compgen -W "$(_blue_green_names --process-names)" -- "$current"))
        return
    fi
    local is_value=''
    [[ " $valued " == *" $previous "* ]] && is_value=yes
    if [[ " $filed " == *" $previous "* ]] ||
            [[ $takes_file && ! $is_value && $current != -* ]]; then
        compopt -o filenames
        local IFS=$'\\n'
        COMPREPLY=($(compgen -f -- "$current"))
    elif [[ ! $is_value ]]; then
        if [[ $current != -* ]] && ! _blue_green_is_given "$valued"; then
            words+=" $offers"
            [[ ! $takes_site ]] || words+=" $(_blue_green_names --names)"
            [[ ! $takes_process ]] || words+=" $(_blue_green_names --process-names)"
            [[ ! $takes_revision ]] || words+=" $(_blue_green_names --revision-names)"
        fi
        COMPREPLY=($(compgen -W "$words" -- "$current"))
    fi
}}
complete -F _blue_green blue-green
"""


def zsh(commands: Sequence[Words]) -> str:
    """For a file named `_blue-green` in a directory of `$fpath`, or `source <(...)`."""
    described = "\n".join(
        f"        {shlex.quote(f'{command.name}:{command.help}')}" for command in commands
    )
    cases = []
    for command in commands:
        specs = [spec for option in command.options for spec in _zsh_option(option)]
        if command.offers and command.takes_process:
            offers = " ".join(command.offers)
            specs.append(shlex.quote(f"1:what:{{compadd -- {offers}; _blue_green_processes}}"))
        elif command.offers:
            specs.append(shlex.quote(f"1:what:({' '.join(command.offers)})"))
        elif command.takes_revision:
            specs.append(shlex.quote("1:revision:_blue_green_revisions"))
        elif command.takes_site:
            specs.append(shlex.quote("1:site:_blue_green_sites"))
        elif command.takes_file:
            specs.append(shlex.quote("1:file:_files"))
        lines = " \\\n".join(f"                {spec}" for spec in specs)
        cases.append(f"""\
        {command.name})
            _arguments \\
{lines}
            ;;
""")
    return f"""\
#compdef blue-green
# zsh completion for blue-green: source <(blue-green completion zsh), after compinit
_blue_green_sites() {{ _blue_green_names --names }}
_blue_green_processes() {{ _blue_green_names --process-names }}
_blue_green_revisions() {{ _blue_green_names --revision-names }}
_blue_green_names() {{
    local at
    local -a finds
    for (( at = 2; at < CURRENT - 1; at++ )); do
        if [[ $words[at] == --config || $words[at] == --socket ||
                ($words[at] == --site && $1 != --names) ]]; then
            finds+=($words[at] $words[at+1])
        fi
    done
    compadd -- ${{(f)"$($program status $1 $finds 2>/dev/null)"}}
}}
_blue_green() {{
    local -a commands
    commands=(
{described}
    )
    if (( CURRENT == 2 )); then
        _describe command commands
        _arguments '--help[show help]' '--version[show the version]'
        return
    fi
    local program=$words[1] command=$words[2]
    shift words
    (( CURRENT-- ))
    case $command in
{"".join(cases)}    esac
}}
if [[ $funcstack[1] == _blue_green ]]; then
    _blue_green "$@"
else
    compdef _blue_green blue-green
fi
"""


def _zsh_option(option: Option) -> list[str]:
    text = option.help.translate({ord("["): "(", ord("]"): ")", ord(":"): " -"})
    value = ""
    if option.takes_value:
        value = ":value: "
        if option.takes_file:
            value = ":file:_files"
        elif option.takes_site or option.takes_process:
            kind = "site:_blue_green_sites" if option.takes_site else "name:_blue_green_processes"
            value = f":{kind}"
    others = f"({' '.join(option.names)})" if len(option.names) > 1 else ""
    return [shlex.quote(f"{others}{name}[{text}]{value}") for name in option.names]


FISH_NAMES = """\
function __blue_green_names
    set -l words (commandline -opc)
    set -l finds
    for at in (seq 2 (math (count $words) - 1))
        if contains -- $words[$at] --config --socket
            or test $words[$at] = --site -a $argv[1] != --names
            set -a finds $words[$at] $words[(math $at + 1)]
        end
    end
    command $words[1] status $argv[1] $finds 2>/dev/null
end
function __blue_green_is_given
    set -l words (commandline -opc)
    set -l is_value
    for word in $words[3..-1]
        if test -n "$is_value"
            set is_value
        else if contains -- $word $argv
            set is_value yes
        else if not string match -q -- '-*' $word
            return 0
        end
    end
    return 1
end"""


def fish(commands: Sequence[Words]) -> str:
    """For `blue-green completion fish | source`."""
    lines = [
        "# fish completion for blue-green: blue-green completion fish | source",
        FISH_NAMES,
        "complete -c blue-green -f",
        "complete -c blue-green -n __fish_use_subcommand -l help -d 'show help'",
        "complete -c blue-green -n __fish_use_subcommand -l version -d 'show the version'",
    ]
    for command in commands:
        about = _fish_quoted(command.help)
        lines.append(
            f"complete -c blue-green -n __fish_use_subcommand -a {command.name} -d {about}"
        )
    for command in commands:
        start = f"complete -c blue-green -n '__fish_seen_subcommand_from {command.name}'"
        first = f"{start[:-1]}; and not __blue_green_is_given {' '.join(command.valued)}'"
        if command.offers:
            lines.append(f"{first} -a {_fish_quoted(' '.join(command.offers))}")
        if command.takes_site:
            lines.append(f"{first} -a '(__blue_green_names --names)'")
        if command.takes_process:
            lines.append(f"{first} -a '(__blue_green_names --process-names)'")
        if command.takes_revision:
            lines.append(f"{first} -a '(__blue_green_names --revision-names)'")
        if command.takes_file:
            lines.append(f"{start} -F")
        for option in command.options:
            names = " ".join(
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                for name in option.names
            )
            value = " -r -F" if option.takes_file else " -x" if option.takes_value else ""
            if option.takes_site:
                value += " -a '(__blue_green_names --names)'"
            elif option.takes_process:
                value += " -a '(__blue_green_names --process-names)'"
            lines.append(f"{start} {names}{value} -d {_fish_quoted(option.help)}")
    return "\n".join(lines) + "\n"


def _fish_quoted(text: str) -> str:
    """Quote for fish, which knows just two escapes in single quotes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS: Mapping[str, Callable[[Sequence[Words]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}

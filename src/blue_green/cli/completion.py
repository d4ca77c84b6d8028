"""Completion scripts for bash, zsh and fish, generated from the table of commands.

Pressing Tab runs a program only for the names of sites and processes: `blue-green status --names`
and `--process-names`, which are quick and print nothing on errors.
"""

import argparse
import shlex
from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

FILES = ("FILE", "PATH")
"""Metavars of arguments that are files."""
SITE = "SITE"
"""The metavar of arguments that are names of sites."""
PROCESSES = ("PROCESS", "WHICH")
"""Metavars of arguments that are, or may be, names of processes."""

AddArguments = Callable[[argparse.ArgumentParser], None]


@frozen
class Option:
    """An option of a command."""

    names: Sequence[str]
    help: str
    takes_value: bool
    takes_file: bool
    takes_site: bool
    takes_process: bool


@frozen
class Words:
    """The words that can follow a command."""

    name: str
    help: str
    options: Sequence[Option]
    offers: Sequence[str]
    """Values of the positional argument."""
    takes_file: bool
    takes_site: bool
    takes_process: bool


def words_of(name: str, about: str, offers: Sequence[str], add: AddArguments) -> Words:
    """Collect a command's options and arguments from its argparse parser."""
    parser = argparse.ArgumentParser(prog=name)
    add(parser)
    actions = parser._actions  # argparse has no public list; this one has been stable since 2.7.
    options = [
        Option(
            names=action.option_strings,
            help=(action.help or "").partition(" (")[0],
            takes_value=action.nargs != 0,
            takes_file=action.metavar in FILES,
            takes_site=action.metavar == SITE,
            takes_process=action.metavar in PROCESSES,
        )
        for action in actions
        if action.option_strings and action.help != argparse.SUPPRESS
    ]
    positional = [action.metavar for action in actions if not action.option_strings]
    takes_file = any(metavar in FILES for metavar in positional)
    takes_process = any(metavar in PROCESSES for metavar in positional)
    return Words(name, about, options, offers, takes_file, SITE in positional, takes_process)


def bash(commands: Sequence[Words]) -> str:
    """For `source <(blue-green completion bash)`."""
    cases = []
    for command in commands:
        options = [name for option in command.options for name in option.names]
        valued = [n for option in command.options if option.takes_value for n in option.names]
        filed = [n for option in command.options if option.takes_file for n in option.names]
        cases.append(f"""\
        {command.name})
            words={shlex.quote(" ".join([*command.offers, *options]))}
            valued={shlex.quote(" ".join(valued))}
            filed={shlex.quote(" ".join(filed))}
            takes_file={"yes" if command.takes_file else ""}
            takes_site={"yes" if command.takes_site else ""}
            takes_process={"yes" if command.takes_process else ""}
            ;;
""")
    names = " ".join(command.name for command in commands)
    return f"""\
# bash completion for blue-green: source <(blue-green completion bash)
_blue_green_names() {{
    local at finds=()
    for (( at = 2; at < COMP_CWORD - 1; at++ )); do
        if [[ ${{COMP_WORDS[at]}} == --config || ${{COMP_WORDS[at]}} == --socket ]]; then
            finds+=("${{COMP_WORDS[at]}}" "${{COMP_WORDS[at+1]}}")
        fi
    done
    "${{COMP_WORDS[0]}}" status "$1" "${{finds[@]}}" 2>/dev/null
}}
_blue_green() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
    local command=${{COMP_WORDS[1]}} words='' valued='' filed=''
    local takes_file='' takes_site='' takes_process=''
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
        if [[ $takes_site && $current != -* ]]; then
            words+=" $(_blue_green_names --names)"
        elif [[ $takes_process && $current != -* ]]; then
            words+=" $(_blue_green_names --process-names)"
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
_blue_green_names() {{
    local at
    local -a finds
    for (( at = 2; at < CURRENT - 1; at++ )); do
        if [[ $words[at] == --config || $words[at] == --socket ]]; then
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
            set -a finds $words[$at] $words[(math $at + 1)]
        end
    end
    command $words[1] status $argv[1] $finds 2>/dev/null
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
        if command.offers:
            lines.append(f"{start} -a {_fish_quoted(' '.join(command.offers))}")
        if command.takes_site:
            lines.append(f"{start} -a '(__blue_green_names --names)'")
        if command.takes_process:
            lines.append(f"{start} -a '(__blue_green_names --process-names)'")
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

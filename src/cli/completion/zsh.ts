/** The script for zsh: as for bash, and what each command and option is for stands beside it. */
import type { CommandShape, Values } from './shape.ts';

export function zshScript(shapes: readonly CommandShape[]): string {
  return `#compdef agent-system
# zsh completion of agent-system; load it with: source <(agent-system completion zsh)
_agent_system_shape() {
  subs=() opts=() takes=() args=() rest=''
  case "$1" in
${shapes.map(caseOf).join('\n')}
  esac
}
${LOGIC}`;
}

function caseOf({ path, commands, options, args, variadic }: CommandShape): string {
  const described = (name: string, about: string) => quoted(`${name.replaceAll(':', '\\:')}:${about}`);
  const lines = [
    `subs=(${commands.map(({ name, about }) => described(name, about)).join(' ')})`,
    `opts=(${options.flatMap(({ names, about }) => names.map((name) => described(name, about))).join(' ')})`,
    `takes=(${options
      .filter(({ takesValue }) => takesValue)
      .flatMap(({ names, values }) => names.map((name) => `${quoted(name)} ${quoted(codeOf(values))}`))
      .join(' ')})`,
    `args=(${args.map((values) => quoted(codeOf(values))).join(' ')})`,
  ];
  if (variadic) lines.push(`rest=${quoted(codeOf(args.at(-1)!))}`);
  return `    ${quoted(path)})\n${lines.map((line) => `      ${line}`).join('\n')}\n      ;;`;
}

function codeOf(values: Values): string {
  if (values.kind === 'words' || values.kind === 'list') return `${values.kind}:${values.words.join(' ')}`;
  return values.kind === 'names' ? `names:${values.command}` : values.kind;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

// Raw, so that the shell's backslashes stay; only its own ${ has to be hidden from JavaScript.
const LOGIC = String.raw`
_agent_system_offer() {
  local -a found
  case "$1" in
    words:*) found=(\${=1#words:}); compadd -a found ;;
    list:*) found=(\${=1#list:}); compset -P '*,'; compadd -S '' -a found ;;
    names:*)
      found=(\${(f)"$("$program" \${=1#names:} $where 2>/dev/null | awk 'NR > 1 { print $1 }')"})
      compadd -a found
      ;;
    input) if compset -P @; then _files; fi ;;
    files) _files ;;
    folders) _files -/ ;;
  esac
}

_agent_system() {
  local program=$words[1] at='' word waiting='' rest
  local -a subs opts args where
  local -A takes
  integer i place=0
  _agent_system_shape ''
  for ((i = 2; i < CURRENT; i++)); do
    word=$words[i]
    if [[ -n $waiting ]]; then
      case $waiting in --url | --api-key | --ca-file | --cert-file | --key-file) where+=($waiting $word) ;; esac
      waiting=''
    elif [[ $word == -* ]]; then
      if [[ -n \${takes[$word]-} ]]; then waiting=$word; fi
    elif (( \${subs[(I)$word:*]} )); then
      at="\${at:+$at }$word"
      _agent_system_shape $at
    else
      place+=1
    fi
  done
  word=$words[CURRENT]
  if [[ -n $waiting ]]; then
    _agent_system_offer \${takes[$waiting]}
  elif [[ $word == --*=* && -n \${takes[\${word%%=*}]-} ]]; then
    compset -P '*='
    _agent_system_offer \${takes[\${word%%=*}]}
  elif [[ $word == -* ]]; then
    _describe option opts
  elif (( $#subs && place == 0 )); then
    _describe command subs
  elif (( place < $#args )); then
    _agent_system_offer $args[place+1]
  elif [[ -n $rest ]]; then
    _agent_system_offer $rest
  fi
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _agent_system "$@"
else
  compdef _agent_system agent-system
fi
`.replaceAll('\\${', '${');

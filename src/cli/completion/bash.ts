/*
 * The script for bash. It finds the command that the words before the cursor name, and offers what can follow it. It asks
 * for nothing but bash (3.2 is enough, which macOS has), and asks a running system only for names that it alone knows.
 */
import type { CommandShape, Values } from './shape.ts';

export function bashScript(shapes: readonly CommandShape[]): string {
  return `# bash completion of agent-system; load it with: source <(agent-system completion bash)
_agent_system_shape() {
  case "$1" in
${shapes.map(caseOf).join('\n')}
  esac
}
${LOGIC}`;
}

/** Every option that takes a value stands in \`takes\` with what its value can be. */
function caseOf({ path, commands, options, args, variadic }: CommandShape): string {
  const takes = options
    .filter(({ takesValue }) => takesValue)
    .flatMap(({ names, values }) => names.map((name) => `${name}|${codeOf(values)}`));
  const fields = {
    subs: commands.map(({ name }) => name),
    opts: options.flatMap(({ names }) => names),
    takes,
    args: args.map(codeOf),
    rest: variadic ? [codeOf(args.at(-1)!)] : [],
  };
  const set = Object.entries(fields).map(([name, words]) => `${name}='${words.join(' ')}'`);
  return `    '${path}') ${set.join(' ')} ;;`;
}

/** One word, so that it can stand among others. */
function codeOf(values: Values): string {
  switch (values.kind) {
    case 'words':
    case 'list':
      return `${values.kind}:${values.words.join(',')}`;
    case 'names':
      return `names:${values.command.replace(' ', ',')}`;
    default:
      return values.kind;
  }
}

// Raw, so that the shell's backslashes stay; only its own ${ has to be hidden from JavaScript.
const LOGIC = String.raw`
_agent_system_value_of() {
  local entry
  for entry in $takes; do
    if [ "\${entry%%|*}" = "$1" ]; then
      printf '%s' "\${entry#*|}"
      return 0
    fi
  done
  return 1
}

_agent_system_offer() {
  local cur="$2" head=''
  case "$1" in
    words:*) COMPREPLY=($(compgen -W "$(printf '%s' "\${1#words:}" | tr , ' ')" -- "$cur")) ;;
    list:*)
      case "$cur" in *,*) head="\${cur%,*}," ;; esac
      COMPREPLY=($(compgen -P "$head" -W "$(printf '%s' "\${1#list:}" | tr , ' ')" -- "\${cur##*,}"))
      compopt -o nospace 2>/dev/null
      ;;
    names:*)
      COMPREPLY=($(compgen -W "$("$program" $(printf '%s' "\${1#names:}" | tr , ' ') "\${where[@]}" 2>/dev/null | awk 'NR > 1 { print $1 }')" -- "$cur"))
      ;;
    input)
      case "$cur" in @*) COMPREPLY=($(compgen -P @ -f -- "\${cur#@}")) ;; esac
      ;;
    files)
      COMPREPLY=($(compgen -f -- "$cur"))
      compopt -o filenames 2>/dev/null
      ;;
    folders)
      COMPREPLY=($(compgen -d -- "$cur"))
      compopt -o filenames 2>/dev/null
      ;;
  esac
}

_agent_system() {
  local program="$1" at='' subs opts takes args rest word value i=1 place=0 waiting=''
  local -a where=()
  local IFS=$' \t\n'
  COMPREPLY=()
  _agent_system_shape ''
  while [ "$i" -lt "$COMP_CWORD" ]; do
    word="\${COMP_WORDS[i]}"
    i=$((i + 1))
    # bash splits --name=value into three words.
    if [ "$word" = '=' ]; then continue; fi
    if [ -n "$waiting" ]; then
      case "$waiting" in --url | --api-key | --ca-file | --cert-file | --key-file) where+=("$waiting" "$word") ;; esac
      waiting=''
      continue
    fi
    case "$word" in
      -*) if _agent_system_value_of "$word" >/dev/null; then waiting="$word"; fi ;;
      *)
        case " $subs " in
          *" $word "*)
            at="\${at:+$at }$word"
            _agent_system_shape "$at"
            ;;
          *) place=$((place + 1)) ;;
        esac
        ;;
    esac
  done
  word="\${COMP_WORDS[COMP_CWORD]}"
  if [ "$word" = '=' ]; then word=''; fi
  if [ -n "$waiting" ]; then
    _agent_system_offer "$(_agent_system_value_of "$waiting")" "$word"
    return
  fi
  case "$word" in
    -*)
      COMPREPLY=($(compgen -W "$opts" -- "$word"))
      return
      ;;
  esac
  if [ -n "$subs" ] && [ "$place" -eq 0 ]; then
    COMPREPLY=($(compgen -W "$subs" -- "$word"))
    return
  fi
  i=0
  for value in $args; do
    if [ "$i" -eq "$place" ]; then
      _agent_system_offer "$value" "$word"
      return
    fi
    i=$((i + 1))
  done
  if [ -n "$rest" ]; then _agent_system_offer "$rest" "$word"; fi
}

complete -F _agent_system agent-system
`.replaceAll('\\${', '${');

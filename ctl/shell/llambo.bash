# The sentinel for bash: after a failed command a dim line says what went wrong and what to try (docs/shell.md).
# In ~/.bashrc: eval "$(llamboctl shell bash)"
# The text before this sets _llambo_start, the command that starts the agent, and _llambo_socket, where the agent is
# asked.

# PROMPT_COMMAND is an array since 5.1; PS0 is expanded only with promptvars
if [[ $- == *i* ]] && (( BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501 )) && shopt -q promptvars; then

_llambo_answer=${_llambo_socket%/*}/answer.$$
_llambo_last=$HISTCMD _llambo_suggestion='' _llambo_began=0 _llambo_asked=0 _llambo_again=0

# $1 as a JSON string, in REPLY.
_llambo_json() {
  REPLY=${1//\\/\\\\}
  REPLY=${REPLY//\"/\\\"}
  REPLY=${REPLY//$'\n'/\\n}
  REPLY=${REPLY//$'\t'/\\t}
  REPLY=\"${REPLY//[[:cntrl:]]/ }\"
}

# Pairs of a name and a text as one line of JSON, in REPLY.
_llambo_question() {
  local json='{"shell":"bash","kind":"failure"'
  while (( $# )); do
    _llambo_json "$2"
    json+=",\"$1\":$REPLY"
    shift 2
  done
  REPLY=$json}
}

# Sends standard input to the agent and prints its answer. bash has no unix sockets, so this takes whatever is there,
# perl or python3. $1 is how many times it tries to reach the agent, ten times a second; it fails if the agent is not
# reached.
_llambo_talk() {
  # below a shared /tmp somebody else may have made that directory before us
  local dir=${_llambo_socket%/*} n
  for (( n = 1; n < $1; n++ )); do [[ -d $dir ]] && break; sleep 0.1; done
  [[ -O $dir && ! -L $dir && $(LC_ALL=C command ls -ldn -- "$dir" 2>/dev/null) == d????-??-* ]] || return
  if command -v perl >/dev/null; then
    perl -e 'use Socket; alarm 20; my $s;
      for (1 .. $ARGV[1]) {
        socket($s, PF_UNIX, SOCK_STREAM, 0) or exit 1;
        if (connect($s, sockaddr_un($ARGV[0]))) { syswrite($s, <STDIN>); print scalar <$s>; exit }
        select(undef, undef, undef, 0.1);
      }
      exit 1' "$_llambo_socket" "$1"
  elif command -v python3 >/dev/null; then
    python3 -c 'import signal, socket, sys, time
signal.alarm(20)
for n in range(int(sys.argv[2])):
    s = socket.socket(socket.AF_UNIX)
    try: s.connect(sys.argv[1])
    except OSError: time.sleep(0.1); continue
    s.sendall(sys.stdin.buffer.readline()); sys.stdout.write(s.makefile().readline()); sys.exit()
sys.exit(1)' "$_llambo_socket" "$1"
  fi
}

# Runs in the background: asks, leaves the answer in a file, and makes the terminal send a key that shows the answer, if
# the shell is at its prompt.
_llambo_ask() {
  local answer stat fields
  trap '' INT HUP TSTP
  # $3: whether the agent may be started, at most once a minute; it ends by itself when nobody asks
  answer=$(_llambo_talk 1 <<< "$1") || {
    (( $3 )) || return
    ( "${_llambo_start[@]}" </dev/null &>/dev/null 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- & )
    answer=$(_llambo_talk 100 <<< "$1")
  }
  [[ $answer == *$'\t'* ]] || return
  # a file for each question: a late answer to an old question would replace the answer to the new one
  ( umask 077; printf '%s\n' "$answer" >| "$_llambo_answer.$2" ) || return
  read -r stat < "/proc/$$/stat" || return
  fields=(${stat##*) })
  # compares its process group with the terminal's; a terminal that is asked for its status answers ESC [ 0 n
  [[ ${fields[2]} == "${fields[5]}" ]] && printf '\e[5n' > /dev/tty
}

# Whether the first word of a line is a command that exists.
_llambo_known() {
  local word words
  read -ra words <<< "$1"
  for word in "${words[@]}"; do
    case $word in
      [A-Za-z_]*=*|sudo|env|command|builtin|nohup|time|nice|exec|!) ;;
      *) type -- "$word" &>/dev/null; return ;;
    esac
  done
  return 1
}

# Shows the answer: one line above the prompt. bash then draws the prompt again, with what has been typed.
_llambo_show() {
  local cause try text tail='' dim=$'\e[2m' plain=$'\e[0m'
  { IFS= read -r text < "$_llambo_answer.$_llambo_asked"; } 2>/dev/null || return
  rm -f -- "$_llambo_answer.$_llambo_asked"
  # either of cause and command may be empty
  cause=${text%%$'\t'*} try=''
  [[ $text == *$'\t'* ]] && try=${text#*$'\t'}
  cause=${cause//[[:cntrl:]]/} try=${try//[[:cntrl:]]/}
  [[ $try ]] && _llambo_known "$try" || try=''
  [[ $cause$try ]] || return
  _llambo_suggestion=$try
  [[ -z $NO_COLOR && $TERM != dumb ]] || dim='' plain=''
  text="llambo: $cause"
  [[ $try ]] && tail="${cause:+; }try: $try (Alt-E)"
  if (( ${#text} + ${#tail} >= COLUMNS )); then text=${text:0:COLUMNS > ${#tail} + 9 ? COLUMNS - ${#tail} - 1 : 8}; fi
  text+=$tail
  printf '%s\n' "$dim${text:0:COLUMNS - 1}$plain"
}

# Alt-E: replaces the line with the suggestion. Only the user runs it.
_llambo_replace() {
  [[ $_llambo_suggestion ]] && READLINE_LINE=$_llambo_suggestion READLINE_POINT=${#_llambo_suggestion}
}

_llambo_prompt() {
  local rc=$? number=$HISTCMD began=$_llambo_began line ms may REPLY
  _llambo_began=0 _llambo_suggestion=''
  (( began )) || { _llambo_last=$number; return "$rc"; }
  # an answer that was not shown, or has not arrived yet, is of no interest any more
  [[ ! -e $_llambo_answer.$_llambo_asked ]] || rm -f -- "$_llambo_answer.$_llambo_asked"
  (( _llambo_asked++ ))
  # commands that are not in the history are private
  if [[ $number == "$_llambo_last" ]]; then return "$rc"; fi
  _llambo_last=$number
  case $rc in 0|130|141|146|148) return "$rc" ;; esac
  [[ ${LLAMBO_SHELL:-hint} != off ]] || return "$rc"
  line=$(HISTTIMEFORMAT='' builtin history 1)
  [[ $line =~ ^\ *[0-9]+\*?\ *(.*)$ ]] || return "$rc"
  line=${BASH_REMATCH[1]}
  # longer lines are not explained, and take a long time to turn into JSON
  (( ${#line} <= 1000 )) || return "$rc"
  ms=$(( (${EPOCHREALTIME/[.,]/} - began) / 1000 ))
  may=$(( SECONDS >= _llambo_again ))
  (( may )) && (( _llambo_again = SECONDS + 60 ))
  _llambo_question line "$line" rc "$rc" ms "$ms" pid "$$" number "$_llambo_asked" cwd "$PWD" \
    tmux "$TMUX" pane "$TMUX_PANE" kitty "$KITTY_LISTEN_ON" window "$KITTY_WINDOW_ID"
  ( _llambo_ask "$REPLY" "$_llambo_asked" "$may" &>/dev/null & )
  return "$rc"
}

# Sets the time at which a command began. It prints nothing.
PS0=${PS0-}'${_llambo_none[_llambo_began=${EPOCHREALTIME/[.,]/}]}'
PROMPT_COMMAND=(_llambo_prompt "${PROMPT_COMMAND[@]}")
bind -x '"\e[0n": _llambo_show' 2>/dev/null
[[ $(bind -p 2>/dev/null; bind -X 2>/dev/null) == *'"\ee"'* ]] || bind -x '"\ee": _llambo_replace' 2>/dev/null
trap -p EXIT | grep -q . || trap 'rm -f -- "$_llambo_answer.$_llambo_asked"' EXIT

fi

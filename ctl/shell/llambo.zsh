# The sentinel for zsh: after a failed command a dim line says what went wrong and what to try (docs/shell.md).
# In ~/.zshrc: eval "$(llamboctl shell zsh)"
# The text before this sets _llambo_start, the command that starts the agent, and _llambo_socket, where the agent is
# asked.

if [[ -o interactive ]] && zmodload zsh/net/socket zsh/system zsh/datetime zsh/zselect zsh/parameter 2>/dev/null; then

autoload -Uz add-zsh-hook
typeset -g _llambo_line= _llambo_said= _llambo_suggestion= _llambo_copied=
typeset -g _llambo_fd= _llambo_err= _llambo_pid=
typeset -gF _llambo_began=0
typeset -gi _llambo_again=0

# Programs that check whether standard error is a terminal, or draw on it: their standard error is never copied.
typeset -ga _llambo_screen=(vi vim nvim view emacs nano less more man top htop btop ssh mosh telnet sudo su doas tmux screen
  fzf mc ranger ftp sftp gdb lldb python python3 ipython node irb psql mysql sqlite3 passwd login watch dialog whiptail fg)

# $1 as a JSON string, in REPLY.
_llambo_json() {
  REPLY=${1//\\/\\\\}
  REPLY=${REPLY//\"/\\\"}
  REPLY=${REPLY//$'\n'/\\n}
  REPLY=${REPLY//$'\t'/\\t}
  REPLY="\"${REPLY//[[:cntrl:]]/ }\""
}

# One question as a line of JSON, in REPLY: its kind, its line, and any pairs of a name and a text that follow.
_llambo_question() {
  local name json='{"shell":"zsh"'
  local -a pairs=(kind "$1" line "$2" pid "$$" cwd "$PWD" "${@[3,-1]}")
  for name REPLY in "${pairs[@]}"; do
    _llambo_json "$REPLY"
    json+=",\"$name\":$REPLY"
  done
  REPLY="$json}"
}

# Whether the directory of the socket is ours and nobody else may write in it: below a shared /tmp somebody may have
# made that directory before us.
_llambo_ours() {
  local -a own=( ${_llambo_socket:h}(N/Uf:go-w:) )
  (( $#own ))
}

# Connects to the agent; REPLY is the descriptor.
_llambo_dial() {
  _llambo_ours && [[ -O $_llambo_socket ]] && zsocket "$_llambo_socket" 2>/dev/null
}

# Starts the agent, at most once a minute. It ends by itself when nobody asks.
_llambo_wake() {
  (( EPOCHSECONDS >= _llambo_again )) || return
  (( _llambo_again = EPOCHSECONDS + 60 ))
  ( "${_llambo_start[@]}" </dev/null &>/dev/null 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &! )
}

# Asks and prints the answer, once the agent is there. It may have to wait, so it runs in a process of its own.
_llambo_talk() {
  trap - INT TERM
  integer n=0
  until _llambo_dial; do
    (( ++n < 100 )) || return
    zselect -t 10
  done
  local fd=$REPLY answer
  print -rnu $fd -- "$1"$'\n' 2>/dev/null && IFS= read -rt 11 -u $fd answer && print -r -- "$answer"
}

# Drops the open question: its answer is of no interest any more.
_llambo_forget() {
  [[ -n $_llambo_fd ]] || return 0
  zle -F $_llambo_fd 2>/dev/null
  [[ -z $_llambo_pid ]] || kill $_llambo_pid 2>/dev/null
  # in braces, because exec alone would keep the redirection
  { exec {_llambo_fd}<&- } 2>/dev/null
  _llambo_fd= _llambo_pid= _llambo_said=
}

# Asks and returns at once. _llambo_answered is called when the answer arrives.
_llambo_ask() {
  _llambo_forget
  if _llambo_dial; then
    _llambo_fd=$REPLY
    print -rnu $_llambo_fd -- "$1"$'\n' 2>/dev/null || { _llambo_forget; return }
  else
    _llambo_wake
    # an agent that was started long ago and is not there will not come
    (( _llambo_again - EPOCHSECONDS > 50 )) || return
    exec {_llambo_fd}< <(_llambo_talk "$1" 2>/dev/null)
    _llambo_pid=${sysparams[procsubstpid]}
  fi
  zle -Fw $_llambo_fd _llambo_answered
}

# Whether the first word of a line is a command that exists.
_llambo_known() {
  local word
  for word in ${(z)1}; do
    case $word in
      ([A-Za-z_][A-Za-z0-9_]#=*|sudo|env|command|builtin|noglob|nohup|time|nice|exec|'!') ;;
      (*) whence -- "${(Q)word}" >/dev/null; return ;;
    esac
  done
  return 1
}

# Shows the answer: one line above the last line of the prompt, whatever is being typed. This is a widget, because
# widgets know how many rows the line takes.
zle -N _llambo_answered
_llambo_answered() {
  emulate -L zsh -o extended_glob
  local data cause try
  sysread -i $1 -t 0 data 2>/dev/null
  case $? in
    (0) _llambo_said+=$data; [[ $_llambo_said == *$'\n'* ]] || return ;;
    (4) return ;;
  esac
  local said=${_llambo_said%%$'\n'*}
  _llambo_forget
  [[ $said == *$'\t'* ]] || return
  cause=${${said%%$'\t'*}//[[:cntrl:]]/} try=${${said#*$'\t'}//[[:cntrl:]]/}
  [[ -n $try ]] && _llambo_known "$try" || try=
  [[ -n $cause$try ]] || return
  _llambo_suggestion=$try
  # moves up over what zle has drawn; zle draws it again
  local over=$'\e['$BUFFERLINES$'A\e[J' dim=$'\e[2m' plain=$'\e[0m' text="llambo: $cause" tail=
  [[ -z $NO_COLOR && $TERM != dumb ]] || dim= plain=
  [[ $TERM != dumb ]] || over=
  [[ -z $try ]] || tail="${cause:+; }try: $try (Alt-E)"
  # one line: what does not fit is cut off, from the cause first
  integer room=$(( COLUMNS - 1 ))
  while (( ${(m)#text} + ${(m)#tail} > room && ${(m)#text} > 8 )); do text=${text[1,-2]}; done
  text+=$tail
  while (( ${(m)#text} > room )); do text=${text[1,-2]}; done
  zle -I
  print -r -- "$over$dim$text$plain"
}

# Copies standard error to a file of ours until the next prompt, but only if $LLAMBO_SHELL_STDERR asks for it.
_llambo_copy() {
  local word=${${(z)1}[1]:t}
  (( ${_llambo_screen[(Ie)$word]} )) && return
  _llambo_ours || return
  _llambo_copied=${_llambo_socket:h}/stderr.$$
  ( umask 077; : >| "$_llambo_copied" ) 2>/dev/null || { _llambo_copied=; return }
  exec {_llambo_err}>&2
  exec 2> >(
    trap '' INT PIPE HUP QUIT TSTP
    integer left=16384
    while sysread; do
      syswrite -o $_llambo_err -- "$REPLY"
      (( left > 0 )) && print -rn -- "${REPLY[1,left]}" >> "$_llambo_copied" && (( left -= $#REPLY ))
    done
    # a NUL at the end says that the copy is complete
    print -rn -- $'\0' >> "$_llambo_copied"
  )
}
_llambo_restore() {
  [[ -n $_llambo_err ]] || return
  exec 2>&$_llambo_err {_llambo_err}>&-
  _llambo_err=
}

_llambo_preexec() {
  emulate -L zsh
  _llambo_forget
  _llambo_suggestion= _llambo_copied= _llambo_line=$1 _llambo_began=$EPOCHREALTIME
  [[ -z $LLAMBO_SHELL_STDERR || ${LLAMBO_SHELL:-hint} == off ]] || _llambo_copy "$1"
}

_llambo_precmd() {
  local rc=$?
  emulate -L zsh
  _llambo_restore
  local line=$_llambo_line REPLY
  _llambo_line=
  [[ ${LLAMBO_SHELL:-hint} == off ]] && return rc
  if [[ $LLAMBO_SHELL == auto ]]; then
    # appended to the user's own strategies, and only if the plugin is loaded
    (( ! $+ZSH_AUTOSUGGEST_STRATEGY || ${ZSH_AUTOSUGGEST_STRATEGY[(Ie)llambo]} )) ||
      typeset -ga ZSH_AUTOSUGGEST_STRATEGY=($ZSH_AUTOSUGGEST_STRATEGY llambo)
    [[ -S $_llambo_socket ]] || _llambo_wake
  fi
  case $rc in (0|130|141|146|148) return rc ;; esac
  # an empty line is not a command, and a line that begins with a space is private
  [[ $line == [^[:blank:]]* ]] || return rc
  # longer lines are not explained, and take a long time to turn into JSON
  (( $#line <= 1000 )) || return rc
  integer ms=$(( (EPOCHREALTIME - _llambo_began) * 1000 ))
  _llambo_question failure "$line" rc $rc ms $ms stderr "$_llambo_copied" \
    tmux "$TMUX" pane "$TMUX_PANE" kitty "$KITTY_LISTEN_ON" window "$KITTY_WINDOW_ID"
  _llambo_ask "$REPLY"
  return rc
}

# For zsh-autosuggestions, which calls it in a process of its own, after history.
_zsh_autosuggest_strategy_llambo() {
  emulate -L zsh
  typeset -g suggestion=
  [[ ${LLAMBO_SHELL:-hint} != off && $1 != *$'\n'* ]] && (( $#1 >= 3 && $#1 <= 500 && ZSH_SUBSHELL > 0 )) || return
  # waits before it asks: if the user types on, job control has ended this process by then
  zselect -t 15
  local REPLY fd answer
  _llambo_question typing "$1"
  local question=$REPLY
  _llambo_dial || return
  fd=$REPLY
  print -rnu $fd -- "$question"$'\n' 2>/dev/null && IFS= read -rt 1 -u $fd answer 2>/dev/null
  exec {fd}<&-
  answer=${${answer#$'\t'}//[[:cntrl:]]/}
  [[ $answer == "$1"* ]] && _llambo_known "$answer" && typeset -g suggestion=$answer
}

# Alt-E: replaces the line with the suggestion. Only the user runs it.
llambo-suggestion() {
  if [[ -n $_llambo_suggestion ]]; then
    BUFFER=$_llambo_suggestion CURSOR=$#_llambo_suggestion
  else
    zle -M 'llambo: nothing to suggest'
  fi
}
zle -N llambo-suggestion
[[ $(bindkey -M emacs '^[e') == *undefined-key ]] && bindkey -M emacs '^[e' llambo-suggestion

add-zsh-hook preexec _llambo_preexec
add-zsh-hook precmd _llambo_precmd
# a subshell that ends with `exit` runs this, too
_llambo_leave() { emulate -L zsh; (( ZSH_SUBSHELL )) || [[ -z $LLAMBO_SHELL_STDERR ]] || command rm -f -- "${_llambo_socket:h}/stderr.$$" }
add-zsh-hook zshexit _llambo_leave

fi

# Read by every interactive bash of a node, login shell or not.
[ -z "$PS1" ] && return
shopt -s checkwinsize histappend
HISTCONTROL=ignoreboth

# The address others reach this node by: the one on eth0, looked up anew since networks may change.
__node_address() {
    local line
    line=$(ip -4 -o address show dev eth0 2>/dev/null) && [[ $line =~ inet\ ([0-9.]+) ]] && printf %s "${BASH_REMATCH[1]}"
}
PS1='\[\e[1;32m\][\h]\[\e[0m\] \[\e[1m\]\u@$(__node_address)\[\e[0m\] \[\e[34m\]\w\[\e[0m\]\n$ '

alias ls='ls --color=auto' ll='ls -l' grep='grep --color=auto'
export EDITOR=vim PAGER=less LESS=-FRX

if [ -r /usr/share/bash-completion/bash_completion ]; then
    . /usr/share/bash-completion/bash_completion
fi

#!/usr/bin/env bash
# A cluster on this machine: three servers and two clients on loopback, or each in a network namespace of its own.
# Run `scripts/cluster.sh help` for what it can do.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
HOME_DIR=${RAFTNOMAD_CLUSTER_DIR:-$ROOT/.cluster}
VENV=${RAFTNOMAD_VENV:-$ROOT/.venv}
BIN=$VENV/bin/raftnomad
SERVERS=(server-1 server-2 server-3)
CLIENTS=(client-1 client-2)
AGENTS=("${SERVERS[@]}" "${CLIENTS[@]}")
FIRST_PORT=${RAFTNOMAD_CLUSTER_PORT:-4646}
BRIDGE=rnbr0
NETWORK=10.211.46

usage() {
  cat <<'TEXT'
Usage: scripts/cluster.sh COMMAND

  up [--namespaces]   set up what is missing, start three servers and two clients, run the example job
                      --namespaces (root): each agent in a network namespace of its own, with certificates
  status              agents, servers, nodes and jobs
  env                 print `export NOMAD_ADDR=...`, for eval
  kill-leader         kill -9 the server that leads; `restart NAME` brings it back
  pause NAME          stop an agent's process without ending it (SIGSTOP)
  resume NAME         let it go on (SIGCONT)
  restart NAME        end an agent and start it again; its tasks go on
  partition NAME      cut an agent off from all others (needs up --namespaces)
  heal                undo every partition
  logs NAME           the end of an agent's log
  down                end the job and all agents, and remove their data

Agents: server-1 server-2 server-3 client-1 client-2
TEXT
}

say() { printf '%s\n' "$*"; }
fail() { printf 'cluster.sh: %s\n' "$*" >&2; exit 1; }

# ---------------------------------------------------------------- set-up

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s' "$candidate"
      return
    fi
  done
  fail "Python 3.11 or newer is needed: apt-get install -y python3 python3-venv, or set PYTHON to one"
}

setup() {
  local stamp=$VENV/.raftnomad-installed want
  want=$(cksum "$ROOT/setup.cfg" | cut -d' ' -f1)
  if [ -x "$BIN" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then return; fi
  local python
  python=$(find_python)
  if [ ! -x "$VENV/bin/python" ]; then
    say "Making a virtual environment in ${VENV#"$ROOT"/} ..."
    "$python" -m venv "$VENV" 2>/dev/null || {
      rm -rf "$VENV"
      fail "this Python can't make virtual environments: apt-get install -y python3-venv"
    }
  fi
  say "Installing raftnomad and what it needs (about a minute the first time) ..."
  local messages
  messages=$("$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -e "$ROOT" 2>&1) || {
    printf '%s\n' "$messages" >&2
    fail "pip could not install raftnomad; its messages are above"
  }
  printf '%s' "$want" >"$stamp"
}

# ---------------------------------------------------------------- agents

position() { # NAME -> its place in AGENTS, or fail
  local i
  for i in "${!AGENTS[@]}"; do
    if [ "${AGENTS[$i]}" = "$1" ]; then printf '%s' "$i"; return; fi
  done
  fail "no agent is called '$1'; there are ${AGENTS[*]}"
}

namespaced() { [ -e "$HOME_DIR/namespaces" ]; }
address() { if namespaced; then printf '%s.%s' "$NETWORK" "$((10 + $(position "$1")))"; else printf '127.0.0.1'; fi; }
port() { # NAME http|rpc|serf
  local base=$FIRST_PORT offset
  case $2 in http) offset=0 ;; rpc) offset=1 ;; serf) offset=2 ;; esac
  namespaced || base=$((FIRST_PORT + 10 * $(position "$1")))
  printf '%s' "$((base + offset))"
}
pid_of() { cat "$HOME_DIR/$1.pid" 2>/dev/null || true; }
alive() { local pid; pid=$(pid_of "$1"); [ -n "$pid" ] && [ -e "/proc/$pid" ] && [ "$(awk '{print $3}' "/proc/$pid/stat")" != Z ]; }
serf_addresses() { local list= name; for name in "${SERVERS[@]}"; do list+=,$(address "$name"):$(port "$name" serf); done; printf '%s' "${list#,}"; }
rpc_addresses() { local list= name; for name in "${SERVERS[@]}"; do list+=,$(address "$name"):$(port "$name" rpc); done; printf '%s' "${list#,}"; }
api_address() { # an agent that answers, the first that lives else the first
  local name
  for name in "${AGENTS[@]}"; do
    if alive "$name" && [ "$(awk '{print $3}' "/proc/$(pid_of "$name")/stat")" != T ]; then
      printf 'http://%s:%s' "$(address "$name")" "$(port "$name" http)"
      return
    fi
  done
  printf 'http://%s:%s' "$(address server-1)" "$(port server-1 http)"
}
nomad() { NOMAD_ADDR=$(api_address) NOMAD_CLI_SHOW_HINTS=0 "$BIN" "$@"; }

write_configuration() { # NAME
  local kind=${1%-*} file=$HOME_DIR/$1.hcl
  {
    printf 'name = "%s"\nbind_addr = "%s"\ndata_dir = "%s"\n' "$1" "$(address "$1")" "$HOME_DIR/data/$1"
    printf 'ports {\n  http = %s\n  rpc  = %s\n  serf = %s\n}\n' "$(port "$1" http)" "$(port "$1" rpc)" "$(port "$1" serf)"
    if [ "$kind" = client ]; then
      printf 'plugin "raw_exec" {\n  config {\n    enabled = true\n  }\n}\n'
      namespaced || printf 'client {\n  network_interface = "lo"\n}\n'
    fi
    if namespaced; then
      printf 'tls {\n  rpc = true\n  ca_file = "%s"\n  cert_file = "%s"\n  key_file = "%s"\n}\n' \
        "$HOME_DIR/tls/nomad-agent-ca.pem" "$HOME_DIR/tls/global-$kind-nomad.pem" "$HOME_DIR/tls/global-$kind-nomad-key.pem"
    fi
  } >"$file"
}

start_agent() { # NAME
  local name=$1 kind=${1%-*} enter=()
  write_configuration "$name"
  mkdir -p "$HOME_DIR/data/$name"
  namespaced && enter=(ip netns exec "rn-$name")
  if [ "$kind" = server ]; then
    set -- server --peers "$(serf_addresses)"
  else
    set -- client --servers "$(rpc_addresses)"
  fi
  setsid nohup "${enter[@]}" "$BIN" "$@" -config "$HOME_DIR/$name.hcl" >>"$HOME_DIR/$name.log" 2>&1 </dev/null &
  printf '%s' "$!" >"$HOME_DIR/$name.pid"
}

check_ports() {
  local name kind taken=
  command -v ss >/dev/null || return 0
  for name in "${AGENTS[@]}"; do
    for kind in http rpc serf; do
      if [ "${name%-*}" = client ] && [ "$kind" != http ]; then continue; fi
      if ss -Hltn "sport = :$(port "$name" "$kind")" 2>/dev/null | grep -q .; then taken+=" $(port "$name" "$kind")"; fi
    done
  done
  [ -z "$taken" ] || fail "these ports are in use by other programs:$taken
  Choose others: RAFTNOMAD_CLUSTER_PORT=14646 scripts/cluster.sh up
  or see who has them: ss -ltnp"
}

wait_for() { # SECONDS WHAT COMMAND...
  local deadline=$((SECONDS + $1)) what=$2 name
  shift 2
  until "$@" >/dev/null 2>&1; do
    for name in "${AGENTS[@]}"; do
      alive "$name" || fail "$name ended; the end of its log:
$(tail -n 5 "$HOME_DIR/$name.log")"
    done
    if [ "$SECONDS" -ge "$deadline" ]; then
      fail "$what did not happen in time; look at: scripts/cluster.sh logs server-1"
    fi
    sleep 0.2
  done
}
leader_known() { [ -n "$(leader_name)" ]; }
nodes_ready() { [ "$(nomad node status 2>/dev/null | grep -c ' ready')" -ge "${#CLIENTS[@]}" ]; }
leader_name() {
  local rpc name
  rpc=$(nomad operator raft list-peers 2>/dev/null | awk '$0 ~ /leader/ {print $3; exit}')
  for name in "${SERVERS[@]}"; do
    if [ "$(address "$name"):$(port "$name" rpc)" = "$rpc" ]; then printf '%s' "$name"; return; fi
  done
}

# ---------------------------------------------------------------- namespaces

make_namespaces() {
  local name i=10
  [ "$(id -u)" = 0 ] || fail "--namespaces needs root"
  command -v ip >/dev/null || fail "--namespaces needs iproute2: apt-get install -y iproute2 nftables"
  command -v nft >/dev/null || fail "--namespaces needs nftables: apt-get install -y nftables"
  ip link add "$BRIDGE" type bridge 2>/dev/null || true
  ip address replace "$NETWORK.1/24" dev "$BRIDGE"
  ip link set "$BRIDGE" up
  for name in "${AGENTS[@]}"; do
    ip netns add "rn-$name" 2>/dev/null || true
    if ! ip netns exec "rn-$name" ip link show eth0 >/dev/null 2>&1; then
      ip link delete "rn$i" 2>/dev/null || true # of a namespace that the kernel is still taking apart
      ip link add "rn$i" type veth peer name eth0 netns "rn-$name"
      ip link set "rn$i" master "$BRIDGE" up
      ip netns exec "rn-$name" ip address add "$NETWORK.$i/24" dev eth0
      ip netns exec "rn-$name" ip link set eth0 up
      ip netns exec "rn-$name" ip link set lo up
      ip netns exec "rn-$name" ip route add default via "$NETWORK.1"
    fi
    i=$((i + 1))
  done
}

remove_namespaces() {
  local name i=10
  for name in "${AGENTS[@]}"; do
    ip link delete "rn$i" 2>/dev/null || true
    ip netns delete "rn-$name" 2>/dev/null || true
    i=$((i + 1))
  done
  ip link delete "$BRIDGE" 2>/dev/null || true
}

make_certificates() {
  mkdir -p "$HOME_DIR/tls"
  (
    cd "$HOME_DIR/tls"
    [ -e nomad-agent-ca.pem ] || "$BIN" tls ca create >/dev/null
    [ -e global-server-nomad.pem ] || "$BIN" tls cert create -server >/dev/null
    [ -e global-client-nomad.pem ] || "$BIN" tls cert create -client >/dev/null
  )
}

# ---------------------------------------------------------------- commands

command_up() {
  local name running=0
  case ${1:-} in '' | --namespaces) ;; *) fail "unknown flag '$1'; only --namespaces" ;; esac
  setup
  mkdir -p "$HOME_DIR"
  for name in "${AGENTS[@]}"; do ! alive "$name" || running=$((running + 1)); done
  if [ "$running" = 0 ]; then
    rm -f "$HOME_DIR/namespaces"
    if [ "${1:-}" = --namespaces ]; then
      make_namespaces
      touch "$HOME_DIR/namespaces"
      make_certificates
    else
      check_ports
    fi
  elif [ "${1:-}" = --namespaces ] && ! namespaced; then
    fail "a cluster without namespaces runs already; end it first: scripts/cluster.sh down"
  fi
  for name in "${AGENTS[@]}"; do
    alive "$name" || { say "Starting $name ..."; start_agent "$name"; }
  done
  wait_for 60 "the election of a leader" leader_known
  wait_for 60 "the registration of both clients" nodes_ready
  say "Running the example job, examples/01-web/web.nomad.hcl ..."
  nomad job run "$ROOT/examples/01-web/web.nomad.hcl" >"$HOME_DIR/job-run.log" 2>&1 || {
    cat "$HOME_DIR/job-run.log" >&2
    fail "the example job did not become healthy"
  }
  report
}

report() {
  say
  say "Three servers ($(leader_name) leads), two clients, and the job 'web' with three copies of a page:"
  page_addresses | sed 's/^/    /'
  say
  say "Try next:"
  say "    eval \"\$(scripts/cluster.sh env)\"            # then: ${BIN#"$ROOT"/} status, job status web, alloc logs -job web"
  say "    scripts/cluster.sh kill-leader              # the page keeps being served, writes go on in a second"
  say "    scripts/cluster.sh status"
  say "    scripts/cluster.sh down"
}

page_addresses() {
  "$VENV/bin/python" - "$(api_address)" <<'PY'
import json, sys, urllib.request
base = sys.argv[1]
def get(path):
    with urllib.request.urlopen(base + path, timeout=5) as answer:
        return json.load(answer)
for stub in get("/v1/job/web/allocations"):
    if stub["ClientStatus"] == "running" and stub["DesiredStatus"] == "run":
        allocation = get("/v1/allocation/" + stub["ID"])
        for port in allocation["AllocatedResources"]["Shared"]["Ports"]:
            print(f"http://{port['HostIP']}:{port['Value']}/   on {stub['NodeName']}")
PY
}

command_status() {
  local name
  require_cluster
  for name in "${AGENTS[@]}"; do
    if ! alive "$name"; then say "$name: not running"
    elif [ "$(awk '{print $3}' "/proc/$(pid_of "$name")/stat")" = T ]; then say "$name: paused, process $(pid_of "$name")"
    else say "$name: running, process $(pid_of "$name"), http://$(address "$name"):$(port "$name" http)"; fi
  done
  say
  nomad server members || true
  say
  nomad node status || true
  say
  nomad job status || true
}

command_env() { require_cluster; printf 'export NOMAD_ADDR=%s\n' "$(api_address)"; }

command_kill_leader() {
  local name
  require_cluster
  name=$(leader_name)
  if [ -z "$name" ]; then
    [ "$(servers_alive)" -ge 2 ] || fail "no server leads: $(servers_alive) of 3 is left, which is no majority; restart another"
    fail "no server leads at the moment; try again in a second, or look at: scripts/cluster.sh status"
  fi
  kill -9 "$(pid_of "$name")"
  say "Killed $name, which led."
  if [ "$(servers_alive)" -ge 2 ]; then
    say "Another takes over in about a second: scripts/cluster.sh status"
  else
    say "Only $(servers_alive) of 3 servers is left, which is no majority: tasks go on, but nothing can be written."
  fi
  say "Bring it back with: scripts/cluster.sh restart $name"
  say "If your NOMAD_ADDR pointed at $name: eval \"\$(scripts/cluster.sh env)\""
}

servers_alive() {
  local name count=0
  for name in "${SERVERS[@]}"; do ! alive "$name" || count=$((count + 1)); done
  printf '%s' "$count"
}

require_cluster() { [ -d "$HOME_DIR/data" ] || fail "there is no cluster; start one: scripts/cluster.sh up"; }
require_name() { # COMMAND NAME
  [ -n "$2" ] || fail "name an agent, e.g.: scripts/cluster.sh $1 server-1; there are ${AGENTS[*]}"
  position "$2" >/dev/null
  require_cluster
}

signal_agent() { # SIGNAL NAME
  position "$2" >/dev/null
  alive "$2" || fail "$2 is not running; start it: scripts/cluster.sh restart $2"
  kill "-$1" "$(pid_of "$2")"
}
command_pause() { require_name pause "${1:-}"; signal_agent STOP "$1"; say "$1 is paused; let it go on with: scripts/cluster.sh resume $1"; }
command_resume() { require_name resume "${1:-}"; signal_agent CONT "$1"; say "$1 goes on."; }
command_logs() { require_name logs "${1:-}"; tail -n "${2:-50}" "$HOME_DIR/$1.log"; }

end_agent() { # NAME: TERM, then KILL after 10 s
  local pid i
  pid=$(pid_of "$1")
  alive "$1" || return 0
  kill -CONT "$pid" 2>/dev/null || true
  kill -TERM "$pid" 2>/dev/null || true
  for i in $(seq 100); do alive "$1" || return 0; sleep 0.1; done
  kill -9 "$pid" 2>/dev/null || true
}

command_restart() {
  require_name restart "${1:-}"
  end_agent "$1"
  start_agent "$1"
  say "$1 is started again, as process $(pid_of "$1")."
}

command_partition() {
  require_name partition "${1:-}"
  namespaced || fail "partitions need network namespaces: scripts/cluster.sh down, then up --namespaces"
  ip netns exec "rn-$1" nft -f - <<NFT
table inet raftnomad_partition {
  chain incoming {
    type filter hook input priority 0
    iifname "eth0" ip saddr != $NETWORK.1 drop
  }
  chain outgoing {
    type filter hook output priority 0
    oifname "eth0" ip daddr != $NETWORK.1 drop
  }
}
NFT
  say "$1 is cut off from all other agents; heal with: scripts/cluster.sh heal"
}

command_heal() {
  local name
  namespaced || fail "there are no partitions without namespaces"
  for name in "${AGENTS[@]}"; do
    ip netns exec "rn-$name" nft delete table inet raftnomad_partition 2>/dev/null || true
  done
  say "All agents reach each other again."
}

command_down() {
  local name
  if [ ! -d "$HOME_DIR" ]; then say "There is no cluster."; return; fi
  if leader_known; then nomad job stop -purge -yes web >/dev/null 2>&1 || true; fi
  for name in "${CLIENTS[@]}" "${SERVERS[@]}"; do end_agent "$name"; done
  end_leftovers
  if namespaced; then remove_namespaces; fi
  rm -rf "$HOME_DIR"
  say "The cluster is gone."
}

end_leftovers() { # tasks, and what keeps them, go on when their client agent ends; those of this cluster end with it
  local process pid
  for process in /proc/[0-9]*; do
    pid=${process#/proc/}
    if tr '\0' '\n' 2>/dev/null <"$process/environ" | grep -qF "NOMAD_TASK_DIR=$HOME_DIR/data/" ||
      tr '\0' '\n' 2>/dev/null <"$process/cmdline" | grep -qF "$HOME_DIR/data/"; then
      [ "$pid" = "$$" ] || kill -9 "$pid" 2>/dev/null || true
    fi
  done 2>/dev/null
  # Where the agents are root, tasks' secrets are mounts in memory.
  awk -v below="$HOME_DIR/data/" 'index($2, below) == 1 {print $2}' /proc/mounts | sort -r | while read -r process; do
    umount -l "$process" || true
  done
}

main() {
  local command=${1:-help}
  [ $# = 0 ] || shift
  case $command in
    up) command_up "$@" ;;
    status) command_status ;;
    env) command_env ;;
    kill-leader) command_kill_leader ;;
    pause) command_pause "$@" ;;
    resume) command_resume "$@" ;;
    restart) command_restart "$@" ;;
    partition) command_partition "$@" ;;
    heal) command_heal ;;
    logs) command_logs "$@" ;;
    down) command_down ;;
    help | -h | --help) usage ;;
    *) usage >&2; exit 2 ;;
  esac
}

main "$@"

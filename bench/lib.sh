# Sourced by script/bench: where things lie, and how a server is started and ended. Everything a run makes lies below
# $WORK and is removed at its end, but for the results and the logs.
BENCH=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
WORK=${TMPDIR:-/tmp}/postrider-bench
RESULTS=$WORK/results.jsonl
LOADGEN=$WORK/loadgen
PASSWORD=secretpass
USERS=50             # mailboxes user0 … user49 of bench.test for workloads A and C
MAILDROPS=10         # of these are read in workload D, with
MESSAGES=1000        # messages each, of
MESSAGE_SIZE=10240   # bytes
declare -A PID=()    # of the servers that run, by name

die() {
	echo "bench: $*" >&2
	exit 1
}

build_loadgen() {
	mkdir -p "$WORK"
	cc -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -pthread -o "$LOADGEN" "$BENCH"/load*.c -lssl -lcrypto
}

make_certificate() { # ECDSA P-256 and self-signed, as ours is
	[ -s "$WORK/cert.pem" ] && return
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=bench.test \
		-keyout "$WORK/key.pem" -out "$WORK/cert.pem" 2>/dev/null
}

fresh_folder() { # NAME: an empty $WORK/NAME
	rm -rf "${WORK:?}/$1"
	mkdir -p "$WORK/$1"
	chmod 755 "$WORK" "$WORK/$1"
}

start() { # NAME COMMAND...: in the background and in a process group of its own
	local name=$1
	shift
	setsid "$@" >"$WORK/$name.log" 2>&1 </dev/null &
	PID[$name]=$!
}

stop() { # NAME: by its pid; its children end with it
	local pid=${PID[$1]:-} i
	[ -n "$pid" ] || return 0
	unset "PID[$1]"
	kill -TERM "$pid" 2>/dev/null || return 0
	for ((i = 0; i < 300; i++)); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL -- "-$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
}

stop_all() {
	local name
	for name in "${!PID[@]}"; do stop "$name"; done
}

need_free() { # PORT...
	local port
	for port in "$@"; do
		if ss -Hltn "sport = :$port" | grep -q .; then die "port $port is taken"; fi
	done
}

wait_port() { # NAME PORT: until NAME listens there; looks, never connects
	local i
	for ((i = 0; i < 200; i++)); do
		ss -Hltn "sport = :$2" | grep -q . && return
		kill -0 "${PID[$1]}" 2>/dev/null || break
		sleep 0.1
	done
	die "$1 did not open port $2; see $WORK/$1.log"
}

# One result, told and kept. A database that runs is the peer's, and counts.
measure() { # PEER LABEL [more of meter.py] -- LOAD...
	local peer=$1 label=$2 also=() helper
	shift 2
	for helper in mongod redis; do
		[ -z "${PID[$helper]:-}" ] || also+=(--also "$helper=${PID[$helper]}")
	done
	sync # what earlier points left to write is not this one's
	"$BENCH/meter.py" --peer "$peer" --label "$label" --pids "${PID[$peer]:-${PID[postrider]}}" "${also[@]}" "$@" | tee -a "$RESULTS" |
		jq -r '"  \(.label) | \(.peer): \(.rate)/s, \(.cpu_us) us, \(.failed) failed, others \(.other_cores) cores"'
}

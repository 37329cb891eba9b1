# Postrider ($POSTRIDER_BIN) with a new data folder below $WORK/postrider: bench.test with user0 … user49 and big, made
# through the API. Sets POSTRIDER_KEY and the addresses POSTRIDER_{API,SMTP,SUBMISSION,POP3,POP3S}. It keeps its mail in SQLite
# (sqlite) or in a replica set of one or three members (mongo1, mongo3; peers/mongod.sh).

postrider_version() {
	"$POSTRIDER_BIN" version | head -1
}

postrider_api() { # PATH [more of curl]: the answer's body; ends the run when it is not 2xx
	local path=$1
	shift
	curl -sS --fail-with-body --max-time 30 -H "Authorization: Bearer $POSTRIDER_KEY" \
		-H 'Content-Type: application/json' "$POSTRIDER_API$path" "$@"
}

postrider_users() {
	local i
	postrider_api /v1/domains -d '{"name":"bench.test"}' >/dev/null || die "no domain"
	for i in $(seq -f user%g 0 $((USERS - 1))) big; do
		postrider_api /v1/users -d "{\"address\":\"$i@bench.test\",\"password\":\"$PASSWORD\"}" >/dev/null || die "no $i"
	done
}

postrider_wait() { # READY-FILE
	local i
	for ((i = 0; i < 200; i++)); do
		[ -s "$1" ] && return
		kill -0 "${PID[postrider]}" 2>/dev/null || break
		sleep 0.1
	done
	die "postrider did not start; see $WORK/postrider.log"
}

postrider_up() { # [sqlite|mongo1|mongo3 [more of serve]]
	local ready=$WORK/postrider/ready store=()
	fresh_folder postrider
	if [[ ${1:-} = mongo* ]]; then
		mongod_up "${1#mongo}"
		store=(--store "$MONGOD_URI")
	fi
	start postrider "$POSTRIDER_BIN" serve --data "$WORK/postrider/data" --ephemeral --ready-file "$ready" "${store[@]}" "${@:2}"
	postrider_wait "$ready"
	POSTRIDER_KEY=$(jq -r .admin_key "$ready")
	POSTRIDER_API=$(jq -r .api "$ready")
	POSTRIDER_SMTP=$(jq -r .smtp "$ready")
	POSTRIDER_SUBMISSION=$(jq -r .submission "$ready")
	POSTRIDER_POP3=$(jq -r .pop3 "$ready")
	POSTRIDER_POP3S=$(jq -r .pop3s "$ready")
	postrider_users
}

postrider_kept() { # how many messages lie in all inboxes
	local i
	for ((i = 0; i < USERS; i++)); do postrider_api "/v1/users/user$i@bench.test/mailboxes"; done |
		jq -s '[.[].data[] | select(.role == "inbox") | .total] | add'
}

postrider_fill() { # the maildrops of workload D, over SMTP
	"$LOADGEN" smtp -a "$POSTRIDER_SMTP" -m $((MAILDROPS * MESSAGES)) -s 10 -d -P 1 -l "$MESSAGE_SIZE" \
		-c user%d@bench.test -R "$MAILDROPS" >/dev/null
	[ "$(postrider_kept)" = $((MAILDROPS * MESSAGES)) ] || die "the maildrops are not full"
}

postrider_down() {
	stop postrider
	mongod_down
	rm -rf "$WORK/postrider"
}

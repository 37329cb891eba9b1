# Sourced by script/bench: what is loaded, point by point. T is a point's time in seconds, PASS the number of the pass:
# servers take turns within a point, and in every other pass the other one begins, so that a drifting machine favours
# nobody. All mails are 10 KiB.

# A: accept and store. label | sessions and manner, as loadgen takes them | recipients of a mail
A_POINTS=(
	"1 session|-s 1 -d|1"
	"10 sessions|-s 10 -d|1"
	"64 sessions|-s 64 -d|1"
	"1 session, 10 recipients|-s 1 -d|10"
	"10 sessions, 10 recipients|-s 10 -d|10"
	"64 sessions, 10 recipients|-s 64 -d|10"
	"1 session, pipelined|-s 1 -d -P 1|1"
	"10 sessions, pipelined|-s 10 -d -P 1|1"
	"64 sessions, pipelined|-s 64 -d -P 1|1"
	"10 sessions, a connection each|-s 10|1"
	"1 session, STARTTLS each time|-s 1 -T|1"
	"10 sessions, STARTTLS each time|-s 10 -T|1"
	"64 sessions, STARTTLS each time|-s 64 -T|1"
	"10 sessions, 10 recipients, STARTTLS each time|-s 10 -T|10"
)

# C: POST /v1/messages; with a size POST /v1/batches of so many. label | recipient | connections | size | by a template?
C_POINTS=(
	"1 connection|user@R@@bench.test|1"
	"10 connections|user@R@@bench.test|10"
	"50 connections|user@R@@bench.test|50"
	"10 connections, recipient outside (captured)|ana@outside.test|10"
	"10 connections, by a template|user@R@@bench.test|10||yes"
	"1 connection, batches of 1,000|user@R@@bench.test|1|1000"
	"1 connection, batches of 1,000, by a template|user@R@@bench.test|1|1000|yes"
	"1 connection, batches of 1,000, recipients outside (captured)|ana@outside.test|1|1000"
)

# D: POP3. label | plain or tls | loadgen's manner
D_POINTS=(
	"login and QUIT, 10 sessions|plain|-s 10 -k 0"
	"login and QUIT, 10 sessions, TLS|tls|-s 10 -k 0"
	"RETR, 4 sessions|plain|-s 4 -k $MESSAGES"
	"RETR pipelined, 4 sessions|plain|-s 4 -k $MESSAGES -P 16"
	"RETR pipelined, 4 sessions, TLS|tls|-s 4 -k $MESSAGES -P 16"
)

in_turn() { # A B: in this pass's order
	if ((PASS % 2)); then echo "$1 $2"; else echo "$2 $1"; fi
}

accept_point() { # SERVER LABEL ARGUMENTS RECIPIENTS
	local address=$POSTRIDER_SMTP until=()
	if [ "$1" = postfix ]; then
		address=127.0.0.1:$POSTFIX_PORT
		until=(--until-files "$WORK/postfix/mail" --each "$4")
	fi
	# shellcheck disable=SC2086
	measure "$1" "A $2" "${until[@]}" -- "$LOADGEN" smtp -a "$address" -t "$T" -l "$MESSAGE_SIZE" $3 -r "$4" \
		-c user%d@bench.test -R "$USERS"
}

all_kept() { # FIRST-LINE in the results, NAME there, mails that lay there BEFORE: those acknowledged since lie there now
	local wanted kept
	wanted=$(tail -n "+$1" "$RESULTS" | jq -s --arg name "$2" 'map(select(.peer == $name and (.label | test("^S?[AC] "))) |
		.n * (if .label | test("10 recipients") then 10 else 1 end)) | add')
	kept=$(($(postrider_kept) - $3))
	[ "$kept" -ge "$wanted" ] || die "$2: $wanted mails acknowledged and $kept kept"
	echo "  $2: $wanted mails acknowledged, $kept kept"
}

load_A() {
	local point label arguments recipients server first
	first=$(($(wc -l <"$RESULTS") + 1))
	postrider_up
	postfix_up
	for point in "${A_POINTS[@]}"; do
		IFS='|' read -r label arguments recipients <<<"$point"
		for server in $(in_turn postrider postfix); do
			accept_point "$server" "$label" "$arguments" "$recipients"
		done
	done
	all_kept "$first" postrider 0
	postfix_down
	postrider_down
}

postrider_template() { # one that says what the other sends of C say
	postrider_api /v1/templates -d '{"alias":"bench","subject":"bench {{n}}","text":"{{pad}}"}' >/dev/null
	postrider_api /v1/templates/bench/publish -X POST >/dev/null
}

load_C() {
	local point label to connections size templated where says
	postrider_up
	postrider_template
	for point in "${C_POINTS[@]}"; do
		IFS='|' read -r label to connections size templated <<<"$point"
		where=(-U /v1/messages)
		[ -z "$size" ] || where=(-U /v1/batches -B "$size")
		says='"subject":"bench @N@","text":"@PAD@"'
		[ -z "$templated" ] || says='"template":{"alias":"bench","variables":{"n":"@N@","pad":"@PAD@"}}'
		printf '{"from":"user0@bench.test","to":["%s"],%s}\n' "$to" "$says" >"$WORK/send.json"
		measure postrider "C $label" -- "$LOADGEN" http -a "${POSTRIDER_API#http://}" "${where[@]}" \
			-b "$WORK/send.json" -H "Authorization: Bearer $POSTRIDER_KEY" -s "$connections" -d -t "$T" -l 9500 -R "$USERS"
	done
	postrider_down
}

read_point() { # SERVER LABEL plain|tls ARGUMENTS
	local address tls=()
	case $1-$3 in
	postrider-plain) address=$POSTRIDER_POP3 ;;
	postrider-tls) address=$POSTRIDER_POP3S ;;
	dovecot-plain) address=127.0.0.1:$DOVECOT_PORT ;;
	dovecot-tls) address=127.0.0.1:$DOVECOT_TLS_PORT ;;
	esac
	[ "$3" = plain ] || tls=(-S)
	# shellcheck disable=SC2086
	measure "$1" "D $2" -- "$LOADGEN" pop3 -a "$address" "${tls[@]}" -t "$T" $4 -u user%d@bench.test -p "$PASSWORD" \
		-R "$MAILDROPS"
}

load_D() {
	local point label door arguments server
	postrider_up
	postrider_fill
	dovecot_up
	for point in "${D_POINTS[@]}"; do
		IFS='|' read -r label door arguments <<<"$point"
		for server in $(in_turn postrider dovecot); do
			read_point "$server" "$label" "$door" "$arguments"
		done
	done
	dovecot_down
	postrider_down
}

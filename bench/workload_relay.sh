# Sourced by script/bench: workload B, mail for other servers. It comes in by SMTP or the API and leaves by a relay, the
# sink, unsigned and signed; a mail is done when the sink has it. Beside us Postfix, and Postfix with OpenDKIM as its
# milter. All speak to the sink in clear, on port $SINK_PORT of the loopback.
SINK_PORT=22599
SINK_COUNTERS=$WORK/sink.counters

# label | door | signed or unsigned | sessions and manner, as loadgen takes them
B_POINTS=(
	"submission, 1 session|smtp|unsigned|-s 1"
	"submission, 10 sessions|smtp|unsigned|-s 10"
	"submission, 64 sessions|smtp|unsigned|-s 64"
	"submission, 1 session, signed|smtp|signed|-s 1"
	"submission, 10 sessions, signed|smtp|signed|-s 10"
	"submission, 64 sessions, signed|smtp|signed|-s 64"
	"API, 10 connections, signed|http|signed|-s 10"
	"API, 50 connections, signed|http|signed|-s 50"
)

sink_up() {
	need_free "$SINK_PORT"
	cc -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -o "$WORK/sink" "$BENCH/sink.c"
	start sink "$WORK/sink" "$SINK_PORT" "$SINK_COUNTERS"
	wait_port sink "$SINK_PORT"
}

# Accounts of thousands of mails a second have limits of their own; here the way out is measured.
relay_settings() { # signed|unsigned
	echo "--set delivery.mode=live --set server.hostname=mail.bench-host.test --set delivery.via=relay \
		--set delivery.relay=127.0.0.1 --set delivery.relay_port=$SINK_PORT --set delivery.relay_tls=none \
		--set delivery.allow=127.0.0.0/8 --set dkim.sign=$([ "$1" = signed ] && echo true || echo false)"
}

relay_postrider() { # LABEL DOOR ARGUMENTS
	local load=()
	if [ "$2" = smtp ]; then
		load=(smtp -a "$POSTRIDER_SUBMISSION" -u user0@bench.test -p "$PASSWORD" -f user0@bench.test -l "$MESSAGE_SIZE"
			-c user%d@elsewhere.test -R "$USERS")
	else
		echo '{"from":"user0@bench.test","to":["user@R@@elsewhere.test"],"subject":"bench @N@","text":"@PAD@"}' >"$WORK/send.json"
		load=(http -a "${POSTRIDER_API#http://}" -U /v1/messages -b "$WORK/send.json" -l 9500 -R "$USERS"
			-H "Authorization: Bearer $POSTRIDER_KEY")
	fi
	# shellcheck disable=SC2086
	measure postrider "B $1" --until-counter "$SINK_COUNTERS" -- "$LOADGEN" "${load[@]}" -d -t "$T" $3
}

relay_postfix() { # LABEL SIGNED ARGUMENTS
	local port=$POSTFIX_PORT also=()
	if [ "$2" = signed ]; then
		port=$POSTFIX_SIGNING_PORT
		also=(--also "opendkim=${PID[opendkim]}")
	fi
	# shellcheck disable=SC2086
	measure postfix "B $1" "${also[@]}" --until-counter "$SINK_COUNTERS" -- "$LOADGEN" smtp -a "127.0.0.1:$port" -f user0@bench.test \
		-l "$MESSAGE_SIZE" -c user%d@elsewhere.test -R "$USERS" -d -t "$T" $3
}

relay_points() { # SERVER signed|unsigned
	local point label door signed arguments
	for point in "${B_POINTS[@]}"; do
		IFS='|' read -r label door signed arguments <<<"$point"
		[ "$signed" = "$2" ] || continue
		if [ "$1" = postrider ]; then
			relay_postrider "$label" "$door" "$arguments"
		elif [ "$door" = smtp ]; then
			relay_postfix "$label" "$signed" "$arguments"
		fi
	done
}

relay_run() { # SERVER: each on a machine of its own, since one that has mail left would be paid for by the other
	local signed settings
	for signed in unsigned signed; do
		if [ "$1" = postrider ]; then
			read -ra settings <<<"$(relay_settings "$signed")"
			postrider_up sqlite "${settings[@]}"
			postrider_api /v1/domains/bench.test/verify -d '{"force":true}' >/dev/null || die "not verified"
		else
			postfix_up "smtp:[127.0.0.1]:$SINK_PORT"
			[ "$signed" = unsigned ] || opendkim_up
		fi
		relay_points "$1" "$signed"
		"${1}_down"
		stop opendkim
	done
}

load_B() {
	local server
	sink_up
	for server in $(in_turn postrider postfix); do relay_run "$server"; done
	stop sink
}

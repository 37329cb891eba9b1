# Sourced by script/bench: workload S, the store as a dimension. Postrider on SQLite, on a replica set of one member and
# of three, and WildDuck, each with new data and alone on the machine, one after the other; their order turns from pass
# to pass. SD reads by POP3, SA accepts and stores, SC sends over HTTP, SL lists a mailbox of $LARGE entries by pages of
# 100. Mails are 10 KiB, those of the large mailbox 1 KiB. WildDuck takes mail by LMTP, and its mailboxes are filled
# beside it (peers/wildduck_fill.js).
LARGE=100000
DEEP=50000     # entries before the first of the deep pages
DEEP_PAGES=100 # that are asked for in turn

# label | sessions and manner, as loadgen takes them
SA_POINTS=(
	"1 session|-s 1 -r 1"
	"10 sessions|-s 10 -r 1"
	"64 sessions|-s 64 -r 1"
	"10 sessions, 10 recipients|-s 10 -r 10"
)
SC_POINTS=(
	"1 connection|-s 1"
	"10 connections|-s 10"
	"50 connections|-s 50"
)
SD_POINTS=(
	"login and QUIT, 10 sessions|-s 10 -k 0"
	"RETR, 4 sessions|-s 4 -k $MESSAGES"
	"RETR pipelined, 4 sessions|-s 4 -k $MESSAGES -P 16"
)
SL_POINTS=(
	"first page, 1 connection|first|-s 1"
	"first page, 10 connections|first|-s 10"
	"deep page, 1 connection|deep|-s 1"
	"deep page, 10 connections|deep|-s 10"
)

store_doors() { # STORE: where the load goes
	if [ "$1" = wildduck ]; then
		DELIVER=(-a "$WILDDUCK_LMTP" -L) DOOR_HTTP=$WILDDUCK_API DOOR_POP3=("$WILDDUCK_POP3" -u user%d)
		SEND_PATH=/users/$WILDDUCK_USER/submit HTTP_HEADER="Accept: application/json"
		SEND='{"from":{"address":"user0@bench.test"},"to":[{"address":"user@R@@bench.test"}],'
	else
		DELIVER=(-a "$POSTRIDER_SMTP") DOOR_HTTP=${POSTRIDER_API#http://} DOOR_POP3=("$POSTRIDER_POP3" -u user%d@bench.test)
		SEND_PATH=/v1/messages HTTP_HEADER="Authorization: Bearer $POSTRIDER_KEY"
		SEND='{"from":"user0@bench.test","to":["user@R@@bench.test"],'
	fi
	SEND+='"subject":"bench @N@","text":"@PAD@"}'
	DELIVER=("$LOADGEN" smtp "${DELIVER[@]}" -d -l "$MESSAGE_SIZE" -c user%d@bench.test -R "$USERS")
}

store_accept() { # STORE
	local point label arguments
	for point in "${SA_POINTS[@]}"; do
		IFS='|' read -r label arguments <<<"$point"
		# shellcheck disable=SC2086
		measure "$1" "SA $label" -- "${DELIVER[@]}" -t "$T" $arguments
	done
}

store_send() { # STORE
	local point label arguments
	echo "$SEND" >"$WORK/send.json"
	for point in "${SC_POINTS[@]}"; do
		IFS='|' read -r label arguments <<<"$point"
		# shellcheck disable=SC2086
		measure "$1" "SC $label" -- "$LOADGEN" http -a "$DOOR_HTTP" -U "$SEND_PATH" -b "$WORK/send.json" -H "$HTTP_HEADER" \
			-d -t "$T" -l 9500 -R "$USERS" $arguments
	done
}

# First of all, so that the maildrops hold $MESSAGES each.
store_read() { # STORE
	local point label arguments i
	if [ "$1" = wildduck ]; then
		for ((i = 0; i < MAILDROPS; i++)); do wildduck_copies "user$i" "$MESSAGES" "$MESSAGE_SIZE"; done
	else
		postrider_fill
	fi
	for point in "${SD_POINTS[@]}"; do
		IFS='|' read -r label arguments <<<"$point"
		# shellcheck disable=SC2086
		measure "$1" "SD $label" -- "$LOADGEN" pop3 -a "${DOOR_POP3[@]}" -p "$PASSWORD" -t "$T" -R "$MAILDROPS" $arguments
	done
}

list_page() { # STORE PATH: prints the number of entries in the page and the path of the next one
	local answer
	if [ "$1" = wildduck ]; then
		answer=$(wildduck_api "$2") || die "no page $2"
		jq -r --arg path "${2%%&*}" '"\(.results | length) \($path)&next=\(.nextCursor)"' <<<"$answer"
	else
		answer=$(postrider_api "$2") || die "no page $2"
		jq -r --arg path "${2%%&*}" '"\(.data | length) \($path)&after=\(.next)"' <<<"$answer"
	fi
}

list_first() { # STORE: the path of the large mailbox's first page
	if [ "$1" = wildduck ]; then
		wildduck_api "/users/$WILDDUCK_BIG/mailboxes" | jq -r --arg user "$WILDDUCK_BIG" \
			'.results[] | select(.path == "INBOX") | "/users/\($user)/mailboxes/\(.id)/messages?limit=100"'
	else
		postrider_api /v1/users/big@bench.test/mailboxes |
			jq -r '.data[] | select(.role == "inbox") | "/v1/mailboxes/\(.id)/entries?limit=100"'
	fi
}

# As a client would come there: page by page. The files first.paths and deep.paths name what is asked for.
store_pages() { # STORE
	local path n i
	path=$(list_first "$1")
	echo "$path" >"$WORK/first.paths"
	: >"$WORK/deep.paths"
	for ((i = 0; i < DEEP / 100 + DEEP_PAGES; i++)); do
		((i < DEEP / 100)) || echo "$path" >>"$WORK/deep.paths"
		read -r n path <<<"$(list_page "$1" "$path")"
		[ "$n" = 100 ] || die "$1 lists $n entries on page $i"
	done
}

store_list() { # STORE
	local point label pages arguments
	if [ "$1" = wildduck ]; then
		wildduck_copies big "$LARGE" 1024
	else
		measure "$1" "SL filling it, 64 sessions" -- "$LOADGEN" smtp -a "$POSTRIDER_SMTP" -m "$LARGE" -s 64 -d -l 1024 \
			-c big@bench.test
	fi
	store_pages "$1"
	for point in "${SL_POINTS[@]}"; do
		IFS='|' read -r label pages arguments <<<"$point"
		# shellcheck disable=SC2086
		measure "$1" "SL $label" -- "$LOADGEN" http -a "$DOOR_HTTP" -G "$WORK/$pages.paths" -H "$HTTP_HEADER" -d -t "$T" \
			$arguments
	done
}

load_store() { # STORE
	local name=postrider first before=0
	[ "$1" != wildduck ] || name=wildduck
	"${name}_up" "$1"
	store_doors "$1"
	store_read "$1"
	"${DELIVER[@]}" -s 10 -t 1 >/dev/null || die "$1 takes no mail" # the first second is not its usual one
	first=$(($(wc -l <"$RESULTS") + 1))
	[ "$1" = wildduck ] || before=$(postrider_kept)
	store_accept "$1"
	store_send "$1"
	[ "$1" = wildduck ] || all_kept "$first" "$1" "$before"
	store_list "$1"
	"${name}_down"
}

load_S() {
	local i all
	read -ra all <<<"$STORES"
	for ((i = 0; i < ${#all[@]}; i++)); do load_store "${all[(i + PASS - 1) % ${#all[@]}]}"; done
}

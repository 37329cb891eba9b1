# WildDuck (from npm, kept in $WORK/wildduck-npm from run to run) over MongoDB (mongod.sh) and Redis: bench.test with
# user0 … user49, made through its API. Mail comes by LMTP, as an MTA before it would bring it. Tuned: a process a core;
# every write w:majority and journaled, as ours; its limits out of the way. A sent mail is kept in Sent and queued for
# ZoneMTA, which does not run here.
WILDDUCK_VERSION=1.46.1
WILDDUCK_PROCESSES=2
WILDDUCK_API=127.0.0.1:22541
WILDDUCK_LMTP=127.0.0.1:22542
WILDDUCK_POP3=127.0.0.1:22543
REDIS_PORT=22544

wildduck_version() {
	echo "WildDuck $WILDDUCK_VERSION (Node.js $(node --version), $(redis-server --version | sed 's/.*v=\([^ ]*\).*/Redis \1/'))"
}

wildduck_install() {
	WILDDUCK=$WORK/wildduck-npm/node_modules/wildduck
	grep -qs "\"version\": \"$WILDDUCK_VERSION\"" "$WILDDUCK/package.json" && return
	echo "bench: installing WildDuck $WILDDUCK_VERSION"
	mkdir -p "$WORK/wildduck-npm"
	npm install --silent --no-audit --no-fund --prefix "$WORK/wildduck-npm" "wildduck@$WILDDUCK_VERSION" \
		>"$WORK/npm.log" 2>&1 || die "npm could not install WildDuck; see $WORK/npm.log"
}

redis_up() { # nothing kept on disk
	need_free "$REDIS_PORT"
	fresh_folder redis
	start redis redis-server --bind 127.0.0.1 --port "$REDIS_PORT" --save '' --dir "$WORK/redis"
	wait_port redis "$REDIS_PORT"
}

wildduck_conf() { # FOLDER with a copy of what it comes with
	cat >"$1/dbs.toml" <<-EOF
		mongo = "${MONGOD_URI/\/postrider?/\/wildduck?}&w=majority&journal=true"
		sender = "zonemta"
		[redis]
		host = "127.0.0.1"
		port = $REDIS_PORT
		db = 4
	EOF
	sed -i "s/0\.0\.0\.0/127.0.0.1/" "$1"/*.toml
	sed -i "s/^port *=.*/port = ${WILDDUCK_API#*:}/" "$1/api.toml"
	sed -i "s/^enabled *=.*/enabled = true/; s/^port *=.*/port = ${WILDDUCK_LMTP#*:}/" "$1/lmtp.toml"
	sed -i "1i ignoreSTARTTLS = true
		s/^port *=.*/port = ${WILDDUCK_POP3#*:}/; s/^secure = true/secure = false/
		s/^maxMessages *=.*/maxMessages = $((2 * MESSAGES))/" "$1/pop3.toml"
	sed -i "0,/^enabled *=/s/^enabled *=.*/enabled = false/" "$1/imap.toml"
	sed -i "s/^level = \"silly\"/level = \"info\"/; s/^processes *=.*/processes = $WILDDUCK_PROCESSES/" "$1/default.toml"
}

wildduck_api() { # PATH [more of curl]: the answer's body; ends the run when it is not 2xx
	local path=$1
	shift
	curl -sS --fail-with-body --max-time 30 -H 'Content-Type: application/json' "http://$WILDDUCK_API$path" "$@"
}

wildduck_users() { # sets WILDDUCK_USER, the id of user0
	local i answer
	for i in $(seq -f user%g 0 $((USERS - 1))) big; do
		answer=$(wildduck_api /users -d "{\"username\":\"$i\",\"password\":\"$PASSWORD\",\"address\":\"$i@bench.test\",
			\"recipients\":10000000,\"receivedMax\":100000000,\"quota\":100000000000}") || die "no $i: $answer"
		[ "$i" != user0 ] || WILDDUCK_USER=$(jq -r .id <<<"$answer")
		[ "$i" != big ] || WILDDUCK_BIG=$(jq -r .id <<<"$answer")
	done
}

wildduck_up() {
	need_free "${WILDDUCK_API#*:}" "${WILDDUCK_LMTP#*:}" "${WILDDUCK_POP3#*:}"
	mongod_up 1
	redis_up
	fresh_folder wildduck
	cp -r "$WILDDUCK/config" "$WORK/wildduck/config"
	wildduck_conf "$WORK/wildduck/config"
	start wildduck env -C "$WILDDUCK" NODE_CONFIG_DIR="$WORK/wildduck/config" NODE_ENV=production node server.js
	wait_port wildduck "${WILDDUCK_API#*:}"
	wait_port wildduck "${WILDDUCK_LMTP#*:}"
	wait_port wildduck "${WILDDUCK_POP3#*:}"
	wildduck_users
}

wildduck_copies() { # USER COPIES SIZE: one mail by LMTP, and the rest as it stored that one
	"$LOADGEN" smtp -L -a "$WILDDUCK_LMTP" -m 1 -s 1 -l "$3" -c "$1@bench.test" >/dev/null ||
		die "wildduck took no mail for $1"
	node "$BENCH/peers/wildduck_fill.js" "$WORK/wildduck-npm/node_modules" "${MONGOD_URI/\/postrider?/\/wildduck?}" \
		"$1@bench.test" "$2" || die "wildduck's mailbox of $1 is not full"
}

wildduck_down() {
	stop wildduck
	stop redis
	mongod_down
	rm -rf "$WORK/wildduck" "$WORK/redis"
}

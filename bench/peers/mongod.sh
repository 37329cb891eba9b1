# A replica set of mongod 6.0 (script/mongod) with new data below $WORK/mongod: 1 GB of memory a member, and ten seconds
# until a silent primary is replaced, as mongod's own default is. It ends with this shell, however that ends.

mongod_up() { # MEMBERS: sets MONGOD_URI
	local i
	fresh_folder mongod
	: >"$WORK/mongod.uri" # of an earlier one
	setsid "$BENCH/../script/mongod" "$1" --dir "$WORK/mongod" --cache 1 --election 10000 \
		< <(exec tail -f /dev/null --pid=$$) >"$WORK/mongod.uri" 2>"$WORK/mongod.log" &
	PID[mongod]=$!
	for ((i = 0; i < 600; i++)); do
		[ "$(wc -l <"$WORK/mongod.uri")" = 2 ] && break
		kill -0 "${PID[mongod]}" 2>/dev/null || die "mongod did not start; see $WORK/mongod.log"
		sleep 0.1
	done
	MONGOD_URI=$(head -1 "$WORK/mongod.uri")
}

mongod_down() {
	stop mongod
	rm -rf "$WORK/mongod"
}

mongod_version() {
	echo "MongoDB 6.0.5"
}

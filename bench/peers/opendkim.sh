# OpenDKIM as Postfix's milter: it signs what comes in at $POSTFIX_SIGNING_PORT for bench.test, with RSA of 2,048 bits,
# relaxed/relaxed. Data below $WORK/opendkim.
OPENDKIM_SOCKET=$WORK/opendkim/socket

opendkim_version() {
	opendkim -V | sed -n 's/^opendkim: //p' | head -1
}

opendkim_up() {
	local folder=$WORK/opendkim i
	fresh_folder opendkim
	openssl genrsa -out "$folder/key.pem" 2048 2>/dev/null
	cat >"$folder/conf" <<-EOF
		Socket local:$OPENDKIM_SOCKET
		UMask 000
		Domain bench.test
		Selector bench
		KeyFile $folder/key.pem
		Mode s
		Canonicalization relaxed/relaxed
		InternalHosts 127.0.0.1
		UserID opendkim
		Background no
		RequireSafeKeys no
	EOF
	chown -R opendkim "$folder"
	start opendkim opendkim -f -x "$folder/conf"
	for ((i = 0; i < 200; i++)); do
		[ -S "$OPENDKIM_SOCKET" ] && return
		sleep 0.1
	done
	die "opendkim did not start; see $WORK/opendkim.log"
}

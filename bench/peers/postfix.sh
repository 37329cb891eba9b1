# Postfix with its configuration, queue and mail below $WORK/postfix: bench.test into Maildirs, STARTTLS offered. For all
# else there is no way, or the one that postfix_up is given. What comes in at the second port is signed (opendkim.sh).
# Tuned: no delay of input when the queue grows (in_flow_delay), no lookups that the others do not make.
POSTFIX_PORT=22501
POSTFIX_SIGNING_PORT=22502

postfix_version() {
	echo "Postfix $(postconf -h mail_version)"
}

postfix_main() { # FOLDER TRANSPORT
	cat <<-EOF
		compatibility_level = 3.6
		queue_directory = $1/queue
		data_directory = $1/data
		maillog_file_prefixes = $1
		maillog_file = $1/mail.log
		myhostname = mail.bench-host.test
		mydestination =
		inet_interfaces = 127.0.0.1
		inet_protocols = ipv4
		mynetworks = 127.0.0.0/8
		in_flow_delay = 0
		virtual_mailbox_domains = bench.test
		virtual_mailbox_base = $1/mail
		virtual_mailbox_maps = texthash:$1/etc/users
		virtual_uid_maps = static:5000
		virtual_gid_maps = static:5000
		transport_maps = inline:{ { bench.test = virtual: } }
		default_transport = $2
		relay_transport = error:nothing leaves this machine
		smtpd_tls_security_level = may
		smtpd_tls_cert_file = $WORK/cert.pem
		smtpd_tls_key_file = $WORK/key.pem
		smtpd_relay_restrictions = permit_mynetworks, reject
	EOF
}

postfix_master() {
	cat <<-EOF
		# service type private unpriv chroot wakeup maxproc command
		127.0.0.1:$POSTFIX_PORT inet n - n - - smtpd
		127.0.0.1:$POSTFIX_SIGNING_PORT inet n - n - - smtpd
		  -o smtpd_milters=unix:$OPENDKIM_SOCKET
		pickup unix n - n 60 1 pickup
		cleanup unix n - n - 0 cleanup
		qmgr unix n - n 300 1 qmgr
		tlsmgr unix - - n 1000? 1 tlsmgr
		rewrite unix - - n - - trivial-rewrite
		bounce unix - - n - 0 bounce
		defer unix - - n - 0 bounce
		trace unix - - n - 0 bounce
		proxymap unix - - n - - proxymap
		showq unix n - n - - showq
		smtp unix - - n - - smtp
		scache unix - - n - 1 scache
		error unix - - n - - error
		retry unix - - n - - error
		virtual unix - n n - - virtual
		anvil unix - - n - 1 anvil
		postlog unix-dgram n - n - 1 postlogd
	EOF
}

postfix_up() { # [TRANSPORT of mail that leaves]
	local folder=$WORK/postfix i
	need_free "$POSTFIX_PORT" "$POSTFIX_SIGNING_PORT"
	make_certificate
	fresh_folder postfix
	mkdir -p "$folder"/{etc,queue,data,mail}
	chown postfix "$folder/data"
	chown 5000:5000 "$folder/mail"
	postfix_main "$folder" "${1:-error:nothing leaves this machine}" >"$folder/etc/main.cf"
	postfix_master >"$folder/etc/master.cf"
	for ((i = 0; i < USERS; i++)); do echo "user$i@bench.test user$i/"; done >"$folder/etc/users"
	postfix -c "$folder/etc" start >"$WORK/postfix.log" 2>&1 || die "postfix did not start; see $WORK/postfix.log"
	PID[postfix]=$(tr -d ' ' <"$folder/queue/pid/master.pid") # leads a process group of its own
	wait_port postfix "$POSTFIX_PORT"
}

postfix_down() {
	stop postfix
	rm -rf "$WORK/postfix"
}

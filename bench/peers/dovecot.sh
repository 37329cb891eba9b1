# Dovecot's POP3 over $MAILDROPS Maildirs of $MESSAGES messages, all below $WORK/dovecot. Tuned: login and pop3
# processes serve many sessions ("high performance mode" of its manual) instead of one each.
DOVECOT_PORT=22531
DOVECOT_TLS_PORT=22532

dovecot_version() {
	echo "Dovecot $(dovecot --version | cut -d' ' -f1)"
}

dovecot_conf() { # FOLDER
	cat <<-EOF
		base_dir = $1/run
		log_path = $1/log
		protocols = pop3
		listen = 127.0.0.1
		ssl = yes
		ssl_cert = <$WORK/cert.pem
		ssl_key = <$WORK/key.pem
		disable_plaintext_auth = no
		mail_location = maildir:$1/mail/%n
		first_valid_uid = 100
		default_internal_user = dovecot
		default_login_user = dovenull
		passdb {
		  driver = static
		  args = password=$PASSWORD
		}
		userdb {
		  driver = static
		  args = uid=5000 gid=5000 home=$1/mail/%n
		}
		service pop3-login {
		  inet_listener pop3 {
		    port = $DOVECOT_PORT
		  }
		  inet_listener pop3s {
		    port = $DOVECOT_TLS_PORT
		    ssl = yes
		  }
		  service_count = 0
		  process_min_avail = 2
		}
		service pop3 {
		  process_limit = 1024
		  service_count = 1000
		}
		service auth {
		  client_limit = 2000
		}
		service anvil {
		  client_limit = 2000
		}
		mail_max_userip_connections = 1000
	EOF
}

dovecot_up() {
	local folder=$WORK/dovecot
	need_free "$DOVECOT_PORT" "$DOVECOT_TLS_PORT"
	make_certificate
	fresh_folder dovecot
	mkdir -p "$folder"/{run,mail}
	dovecot_conf "$folder" >"$folder/dovecot.conf"
	"$BENCH/maildirs.py" "$folder/mail" "$MAILDROPS" "$MESSAGES" "$MESSAGE_SIZE"
	chown -R 5000:5000 "$folder/mail"
	start dovecot dovecot -F -c "$folder/dovecot.conf"
	wait_port dovecot "$DOVECOT_PORT"
	wait_port dovecot "$DOVECOT_TLS_PORT"
}

dovecot_down() {
	stop dovecot
	rm -rf "$WORK/dovecot"
}

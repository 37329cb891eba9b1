# Sourced by script/bench: what a reader must know of the machine and the versions to compare figures.

flush_time() { # median of 200 appends of 4 KiB, each made durable
	python3 - "$WORK/flush" <<-'EOF'
		import os, statistics, sys, time
		fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
		took = []
		for _ in range(200):
		    start = time.monotonic()
		    os.write(fd, b"x" * 4096)
		    os.fdatasync(fd)
		    took.append(time.monotonic() - start)
		os.unlink(sys.argv[1])
		print(f"{statistics.median(took) * 1e3:.2f} ms")
	EOF
}

processor() {
	lscpu | sed -n 's/^Model name: *//p' | head -1
}

facts() {
	echo "Measured on $(date -u +%F) ($(date -u +%H:%M) UTC), $PASSES pass(es), $T s a point, medians (least–most)."
	echo "Machine: $(nproc) cores of $(processor), $(free -g | awk '/^Mem:/ { print $2 }') GB of memory, servers and load on the same one."
	echo "Disk: $(df --output=fstype "$WORK" | tail -1), an append of 4 KiB made durable takes $(flush_time)."
	echo "System: $(. /etc/os-release && echo "$PRETTY_NAME"), Linux $(uname -r | cut -d- -f1)."
	echo "Versions: $(postrider_version) (commit $(git -C "$BENCH" rev-parse --short HEAD)), $(postfix_version), $(opendkim_version), $(dovecot_version), $(mongod_version), $(wildduck_version), $(openssl version | cut -d' ' -f1-2)."
}

/* net/stream.h - what a session talks through: a socket, TLS on it, or memory (tests, fuzzers).
 *
 * Reading: stream_peek shows what has arrived and is not yet consumed; stream_fill waits for more; stream_skip
 * consumes. stream_line does all three for a line. Writing collects in a buffer; it leaves when the stream is about to
 * wait for input with nothing buffered, when it grows past net.write_high, or at stream_flush: answers that are ready
 * together leave in one write. Every wait ends at the stream's deadline with ERR_TIMEOUT, and at net_stop with
 * ERR_CLOSED. After ERR_CLOSED or ERR_TIMEOUT from a read call nothing more can be read, but a last answer may still be
 * written and flushed (set a new deadline: "421 4.4.2", or what a peer that closed its side only still waits for).
 * After either from a write call the stream is dead and only stream_free helps. A stream belongs to one fiber or one
 * thread. An idle one holds no buffer. RFC 8446, RFC 9325 (TLS 1.2+).
 *
 * A stream comes from a door (stream_socket), or goes out (stream_connect, in connect.c). */
#ifndef NET_STREAM_H
#define NET_STREAM_H
#include "base/arena.h"
#include "base/err.h"
#include "base/network.h"

struct stream;
struct tls_server; /* net/tls.h */

struct stream_options {
    size_t in_max;  /* input buffer: longest line or block that stream_peek can show */
    size_t out_max; /* output kept before a write must happen */
};

struct peer {
    char text[NETWORK_TEXT]; /* "192.0.2.7" or "2001:db8::1", IPv4-mapped shown as IPv4; "memory" */
    char net[NETWORK_TEXT];  /* the same for IPv4, the /64 for IPv6: what limits count by */
    uint16_t port;
    bool loopback;
};

/* Takes fd (non-blocking, TCP_NODELAY set by it); closes it in stream_free. */
struct stream *stream_socket(int fd, const struct stream_options *o);
/* Where stream_connect goes to. */
struct stream_target {
    struct network address;
    uint16_t port;
    const struct network *source; /* the address to come from, of the same family; NULL: the system's choice */
    struct stream_options options;
};
/* Connects; the fiber waits, the loop does not. ERR_TIMEOUT at the deadline; ERR_BUSY: refused, reset or unreachable;
 * ERR_INVALID: the source address cannot be used; ERR_QUEUE_FULL: no socket or port is left here; ERR_CLOSED at
 * net_stop. The message names address and port. */
bool stream_connect(const struct stream_target *t, int64_t deadline, struct stream **out, struct err *e);
/* Input is what `in` holds, output goes to `out` (borrowed). `step` bytes arrive at a time (0: all). */
struct stream *stream_memory(struct bytes in, size_t step, struct buf *out, const struct stream_options *o);
void stream_free(struct stream **s); /* flushes nothing; *s may be NULL */

void stream_deadline(struct stream *s, int64_t monotonic_ms);
const struct peer *stream_peer(const struct stream *s);
/* The peer of a connected socket that is no stream. */
void stream_peer_of(int fd, struct peer *out);
uint16_t stream_local_port(const struct stream *s);
int stream_fd(const struct stream *s); /* -1 for memory */

struct bytes stream_peek(const struct stream *s);
/* Waits for at least one more byte. False with ERR_CLOSED at the end of input, ERR_TOO_LARGE when the buffer is full.
 */
bool stream_fill(struct stream *s, struct err *e);
void stream_skip(struct stream *s, size_t n);
/* The next line up to and with LF, consumed; the view lasts until the next read call. ERR_TOO_LARGE when no LF comes
 * within `max` bytes (what was buffered is still there: see stream_skip_line). */
bool stream_line(struct stream *s, size_t max, struct bytes *line, struct err *e);
/* Drops input up to and with the next CRLF, reading at most `max` bytes: a line that was refused ends nowhere else. */
bool stream_skip_line(struct stream *s, size_t max, struct err *e);

/* Queues bytes, copying them; may wait (flush) when out_max is reached. */
bool stream_write(struct stream *s, struct bytes b, struct err *e);
bool stream_flush(struct stream *s, struct err *e);
size_t stream_queued(const struct stream *s);
/* Writes what leaves without waiting, queued bytes first; how much of b did. */
bool stream_offer(struct stream *s, struct bytes b, size_t *taken, struct err *e);
/* Waits until stream_offer may get on. ERR_TIMEOUT at `until` leaves the stream alive. */
bool stream_await_room(struct stream *s, int64_t until, struct err *e);
/* True when bytes that were pipelined behind the last line are already there (of a memory: read already). */
bool stream_has_input(struct stream *s);
/* stream_fill with an end of its own: ERR_TIMEOUT at `until` leaves the stream alive. Flush first: what is still queued
 * would have to leave within the same time. */
bool stream_await(struct stream *s, int64_t until, struct err *e);
/* While on, net_drain ends the stream's waits for input with ERR_CLOSED: for when the peer owes the next command, not
 * for when it is in the middle of one. Off at first. */
void stream_drains(struct stream *s, bool on);

/* Server side TLS (net/tls_client.h has the other): forgets all buffered input (RFC 3207 4), flushes output, shakes
 * hands before `deadline`. */
bool stream_start_tls(struct stream *s, struct tls_server *tls, int64_t deadline, struct err *e);
/* The same without a ticket, for doors whose clients do not come back with one: it costs a handshake a tenth. */
bool stream_start_tls_once(struct stream *s, struct tls_server *tls, int64_t deadline, struct err *e);
bool stream_is_tls(const struct stream *s);
/* "TLSv1.3" and "TLS_AES_256_GCM_SHA384" with bits, for Received lines; NULL in clear. */
const char *stream_tls_version(const struct stream *s);
const char *stream_tls_cipher(const struct stream *s);
int stream_tls_bits(const struct stream *s);
/* Says goodbye on TLS and closes the sending side; best effort. */
void stream_shutdown(struct stream *s);
/* After stream_shutdown: reads what still comes into nothing, until the peer closes, is silent for `silence` ms, has
 * sent `most` bytes, or it is `until`. */
void stream_linger(struct stream *s, int64_t silence, int64_t until, size_t most);
/* From another fiber of the same loop: closes the descriptor of a stream whose fiber is busy elsewhere; every call on
 * it then gives ERR_CLOSED. False when that fiber waits for the stream, and will see for itself, or it is closed. */
bool stream_cut(struct stream *s);
#endif

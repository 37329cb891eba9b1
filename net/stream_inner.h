/* net/stream_inner.h - inside net/: what the parts of a stream share.
 * stream.c buffers; stream_socket.c, stream_tls.c and stream_memory.c carry bytes. */
#ifndef NET_STREAM_INNER_H
#define NET_STREAM_INNER_H
#include "net/stream.h"
#include "net/watch.h"
#include <openssl/types.h>

/* What a transport answers besides a count of bytes. */
enum { IO_END = 0, IO_WAIT_READ = -1, IO_WAIT_WRITE = -2, IO_FAILED = -3 };

struct transport {
    long (*read)(struct stream *s, char *to, size_t n);
    long (*write)(struct stream *s, const char *from, size_t n);
    bool (*may_read)(const struct stream *s); /* false: read would only answer IO_WAIT_READ */
};

struct stream {
    const struct transport *transport;
    struct watch watch;
    SSL *ssl;
    int64_t deadline;
    char *in, *out;
    size_t in_start, in_end, in_cap; /* unconsumed input is in[in_start … in_end) */
    size_t in_seen;                  /* of it, bytes known to hold no LF */
    size_t in_hint;                  /* capacity that suits this peer */
    size_t out_n, out_cap;
    struct stream_options max;
    enum err_code in_failed, out_failed;
    bool drains, eof;
    struct bytes memory_in; /* what has not arrived yet */
    size_t memory_step;
    struct buf *memory_out;
    uint16_t local_port;
    struct peer peer;
};

extern const struct transport transport_socket, transport_tls, transport_memory;

struct stream *stream_make(const struct transport *t, const struct stream_options *o);
/* Waits as the transport's answer asks. */
bool stream_wait(struct stream *s, long answer, int64_t deadline, struct err *e);
/* Flushes, forgets input that came in clear, and makes s->ssl: set its side, then shake hands. */
bool stream_tls_begin(struct stream *s, SSL_CTX *context, struct err *e);
/* On false the stream is dead; *reason is OpenSSL's error code, where it has one. */
bool stream_tls_shake(struct stream *s, int64_t deadline, unsigned long *reason, struct err *e);
void stream_tls_free(struct stream *s);
void stream_tls_goodbye(struct stream *s);
#endif

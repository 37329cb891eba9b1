/* net/stream_tls.c - TLS on a stream.
 *
 * OpenSSL reads and writes through a BIO of ours over the watch: it makes no system call that would get EAGAIN, and no
 * SIGPIPE comes. Each call clears OpenSSL's list of errors first: it belongs to the thread, and another fiber on it may
 * have left something there. */
#include "net/stream_inner.h"
#include "net/tls_inner.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/socket.h>

static BIO_METHOD *method;

static int bio_read(BIO *b, char *to, int n)
{
    struct stream *s = BIO_get_data(b);
    long got = watch_read(&s->watch, to, n > 0 ? (size_t)n : 0);

    BIO_clear_retry_flags(b);
    if (got < 0 && errno == EAGAIN)
        BIO_set_retry_read(b);
    s->eof = got == 0;
    return (int)got;
}

static int bio_write(BIO *b, const char *from, int n)
{
    struct stream *s = BIO_get_data(b);
    long put = watch_write(&s->watch, from, n > 0 ? (size_t)n : 0);

    BIO_clear_retry_flags(b);
    if (put < 0 && errno == EAGAIN)
        BIO_set_retry_write(b);
    return (int)put;
}

static long bio_ctrl(BIO *b, int what, long n, void *p)
{
    struct stream *s = BIO_get_data(b);

    (void)n;
    (void)p;
    switch (what) {
    case BIO_CTRL_FLUSH: return 1;
    case BIO_CTRL_EOF: return s->eof;
    default: return 0;
    }
}

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "watch");
    if (!method)
        die("out of memory");
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
}

static long answer_of(struct stream *s, int result)
{
    switch (SSL_get_error(s->ssl, result)) {
    case SSL_ERROR_WANT_READ: return IO_WAIT_READ;
    case SSL_ERROR_WANT_WRITE: return IO_WAIT_WRITE;
    case SSL_ERROR_ZERO_RETURN: return IO_END;
    default: return IO_FAILED;
    }
}

static long tls_read(struct stream *s, char *to, size_t n)
{
    size_t got = 0;
    int result;

    ERR_clear_error();
    result = SSL_read_ex(s->ssl, to, n, &got);
    return result > 0 ? (long)got : answer_of(s, result);
}

static long tls_write(struct stream *s, const char *from, size_t n)
{
    size_t put = 0;
    int result;

    ERR_clear_error();
    result = SSL_write_ex(s->ssl, from, n, &put);
    return result > 0 ? (long)put : answer_of(s, result);
}

static bool tls_may_read(const struct stream *s)
{
    return s->watch.readable || SSL_has_pending(s->ssl);
}

const struct transport transport_tls = { tls_read, tls_write, tls_may_read };

static SSL *make_ssl(struct stream *s, SSL_CTX *context)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    SSL *ssl = SSL_new(context);
    BIO *bio;

    pthread_once(&once, make_method);
    bio = BIO_new(method);
    if (!ssl || !bio)
        die("out of memory");
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    return ssl;
}

static bool shake_hands(struct stream *s, int64_t deadline, unsigned long *reason, struct err *e)
{
    for (;;) {
        long answer;
        int result;

        ERR_clear_error();
        result = SSL_do_handshake(s->ssl);
        if (result == 1)
            return true;
        answer = answer_of(s, result);
        if (answer == IO_END || answer == IO_FAILED) {
            *reason = ERR_peek_last_error();
            return err_set(e, ERR_CLOSED, "TLS handshake: %s", tls_reason());
        }
        if (!stream_wait(s, answer, deadline, e))
            return false;
    }
}

bool stream_tls_shake(struct stream *s, int64_t deadline, unsigned long *reason, struct err *e)
{
    if (shake_hands(s, deadline, reason, e))
        return true;
    s->in_failed = s->out_failed = e->code;
    return false;
}

/* What stood in the buffer came in clear and could have been put there by anybody (RFC 3207 section 4; CVE-2011-0411).
 */
bool stream_tls_begin(struct stream *s, SSL_CTX *context, struct err *e)
{
    if (s->ssl || s->watch.fd < 0)
        return err_set(e, ERR_INVALID, "no TLS on this stream");
    if (!stream_flush(s, e))
        return false;
    s->in_start = s->in_end = s->in_seen = 0;
    s->ssl = make_ssl(s, context);
    s->transport = &transport_tls;
    return true;
}

static bool accept_tls(struct stream *s, struct tls_server *tls, bool tickets, int64_t deadline, struct err *e)
{
    SSL_CTX *context = tls_server_context(tls);
    unsigned long reason = 0;
    bool begun = stream_tls_begin(s, context, e);

    SSL_CTX_free(context);
    if (!begun)
        return false;
    SSL_set_accept_state(s->ssl);
    if (!tickets && SSL_set_num_tickets(s->ssl, 0) == 1)
        SSL_set_options(s->ssl, SSL_OP_NO_TICKET);
    return stream_tls_shake(s, deadline, &reason, e);
}

bool stream_start_tls(struct stream *s, struct tls_server *tls, int64_t deadline, struct err *e)
{
    return accept_tls(s, tls, true, deadline, e);
}

/* A ticket's bytes would acknowledge the client's Finished. Without, a client that leaves Nagle on would wait for our
 * delayed acknowledgement, 40 ms, before it sends its first command. */
bool stream_start_tls_once(struct stream *s, struct tls_server *tls, int64_t deadline, struct err *e)
{
    static const int on = 1;

    if (!accept_tls(s, tls, false, deadline, e))
        return false;
    setsockopt(s->watch.fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
    return true;
}

void stream_tls_goodbye(struct stream *s)
{
    ERR_clear_error();
    if (s->ssl && SSL_is_init_finished(s->ssl))
        SSL_shutdown(s->ssl);
}

void stream_tls_free(struct stream *s)
{
    SSL_free(s->ssl);
    s->ssl = NULL;
}

bool stream_is_tls(const struct stream *s)
{
    return s->ssl != NULL;
}

const char *stream_tls_version(const struct stream *s)
{
    return s->ssl ? SSL_get_version(s->ssl) : NULL;
}

const char *stream_tls_cipher(const struct stream *s)
{
    return s->ssl ? SSL_get_cipher_name(s->ssl) : NULL;
}

int stream_tls_bits(const struct stream *s)
{
    return s->ssl ? SSL_get_cipher_bits(s->ssl, NULL) : 0;
}

#include "base/clock.h"
#include "mail/build.h"
#include "mail/chars.h"

/* What a client told us goes into a comment-free place of the line: only what a host name or literal can hold. */
static void add_host(struct buf *out, struct bytes helo)
{
    for (size_t i = 0; i < helo.n && i < 255; i++) {
        char c = helo.p[i];

        buf_addc(out, char_is_alnum(c) || char_is_8bit(c) || char_in(c, BYTES(".-_:[]")) ? c : '?');
    }
    if (helo.n == 0)
        buf_adds(out, "unknown");
}

static void add_from(const struct received *r, struct buf *out)
{
    buf_adds(out, "Received: from ");
    add_host(out, r->helo);
    if (r->client_ip.n) {
        bool six = bytes_find(r->client_ip, ':') < r->client_ip.n;

        buf_adds(out, six ? " ([IPv6:" : " ([");
        buf_add(out, r->client_ip);
        buf_adds(out, "])");
    }
}

/* RFC 5321 4.4. The cipher is told as RFC 8314 7.4 has it, in a comment that every reader knows besides. */
void received_write(const struct received *r, struct buf *out)
{
    char date[CLOCK_TEXT + 8];

    add_from(r, out);
    buf_addf(out, "\r\n\tby %.*s (Postrider) with %s", SHOW(r->host), r->with);
    if (r->id.n)
        buf_addf(out, " id %.*s", SHOW(r->id));
    if (r->tls_version)
        buf_addf(out, "\r\n\t(version=%s cipher=%s bits=%d)", r->tls_version, r->tls_cipher ? r->tls_cipher : "?",
                 r->tls_bits);
    if (r->for_address.n)
        buf_addf(out, "\r\n\tfor <%.*s>", SHOW(r->for_address));
    buf_adds(out, ";\r\n\t");
    buf_add(out, clock_rfc5322(r->date, date));
    buf_adds(out, "\r\n");
}

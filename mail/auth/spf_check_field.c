/* mail/auth/spf_check_field.c - the two identities that SPF is asked about, and the field that says what came of it.
 *
 * HELO and MAIL FROM are a stranger's texts: in the field they are quoted, and no control character gets there. */
#include "mail/address.h"
#include "mail/auth/spf_check.h"
#include "mail/auth/write.h"

/* A-labels where it has U-labels; else as it is. */
static struct bytes ascii_domain(struct bytes domain, struct arena *a)
{
    struct bytes made;
    struct err e = { 0 };

    return !bytes_is_ascii(domain) && domain_normalize(domain, a, &made, &e) ? made : domain;
}

static bool may_have_record(struct bytes domain)
{
    return bytes_find(domain, '.') < domain.n && !bytes_starts(domain, BYTES("["));
}

bool spf_of_helo(struct spf_asked *q, struct arena *a, struct bytes helo)
{
    q->helo = helo;
    q->domain = ascii_domain(helo, a);
    q->sender = arena_bytesf(a, "postmaster@%.*s", SHOW(helo));
    return may_have_record(q->domain);
}

bool spf_of_mail_from(struct spf_asked *q, struct arena *a, struct bytes helo, struct bytes mail_from)
{
    size_t at = bytes_find_last(mail_from, '@');
    struct bytes domain = at < mail_from.n ? bytes_from(mail_from, at + 1) : mail_from;

    if (!mail_from.n)
        return spf_of_helo(q, a, helo);
    q->helo = helo;
    q->domain = ascii_domain(domain, a);
    q->sender = mail_from;
    if (at == 0 || at >= mail_from.n) /* 4.3: no local part */
        q->sender = arena_bytesf(a, "postmaster@%.*s", SHOW(domain));
    return may_have_record(q->domain);
}

static const char *said(enum auth_result r)
{
    switch (r) {
    case AUTH_PASS: return "designates it as permitted sender";
    case AUTH_FAIL: return "does not designate it as permitted sender";
    case AUTH_SOFTFAIL: return "says that it is probably no permitted sender";
    case AUTH_NEUTRAL: return "says neither yes nor no of it";
    case AUTH_NONE: return "has no SPF record";
    case AUTH_TEMPERROR: return "could not be asked for its SPF record";
    default: return "has an SPF record that cannot be understood";
    }
}

static void add_pair(struct buf *out, const char *key, struct bytes value)
{
    if (!value.n)
        return;
    buf_addf(out, " %s=", key);
    auth_write_value(out, value);
    buf_addc(out, ';');
}

void spf_received(const struct spf_asked *q, const struct spf_verdict *v, const char *identity, struct buf *out)
{
    struct bytes host = q->host.p ? q->host : BYTES("unknown");
    char ip[NETWORK_TEXT];
    struct buf text;

    buf_init(&text, 65536);
    buf_add(&text, auth_result_text(v->result));
    buf_adds(&text, " (");
    auth_write_comment(&text, host);
    buf_adds(&text, ": domain of ");
    auth_write_comment(&text, q->sender);
    buf_addf(&text, " %s)", said(v->result));
    add_pair(&text, "receiver", host);
    add_pair(&text, "client-ip", network_show(&q->ip, ip));
    add_pair(&text, "identity", bytes_of(identity));
    add_pair(&text, "envelope-from", q->sender);
    add_pair(&text, "helo", q->helo);
    add_pair(&text, "mechanism", v->mechanism);
    add_pair(&text, "problem", v->why);
    auth_write_field(out, "Received-SPF", buf_bytes(&text));
    buf_clear(&text);
}

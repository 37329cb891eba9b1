/* mail/auth/results.c - the one set of results as a field, and the removal of those that are forged.
 *
 * Domains and addresses of strangers are quoted where they are no plain words. What is removed is found by its id
 * alone, read as a reader would: through comments, folds and quotes, without regard to case. */
#include "mail/auth/results.h"
#include "mail/auth/write.h"
#include "mail/chars.h"

enum { TEXT_MAX = 262144, TAIL = 8 };

static void begin(struct buf *out, const char *method, enum auth_result r)
{
    buf_addf(out, "; %s=%.*s", method, SHOW(auth_result_text(r)));
}

static void add_reason(struct buf *out, struct bytes why)
{
    if (!why.n)
        return;
    buf_adds(out, " (");
    auth_write_comment(out, why);
    buf_addc(out, ')');
}

static void add_property(struct buf *out, const char *name, struct bytes value)
{
    if (!value.n)
        return;
    buf_addf(out, " %s=", name);
    auth_write_value(out, value);
}

/* pvalue may be an address as it is: [local] "@" domain (2.2). */
static void add_address(struct buf *out, const char *name, struct bytes value)
{
    size_t at = bytes_find_last(value, '@');

    if (at >= value.n) {
        add_property(out, name, value);
        return;
    }
    buf_addf(out, " %s=", name);
    if (at)
        auth_write_value(out, bytes_head(value, at));
    buf_addc(out, '@');
    auth_write_value(out, bytes_from(value, at + 1));
}

static void add_spf(const struct auth_results *r, struct buf *out)
{
    begin(out, "spf", r->spf->result);
    add_reason(out, r->spf->why);
    add_address(out, r->spf_helo ? "smtp.helo" : "smtp.mailfrom", r->spf_value);
}

static void add_dkim(const struct dkim_seen *s, struct buf *out)
{
    begin(out, "dkim", s->result);
    add_reason(out, s->why);
    add_property(out, "header.d", s->domain);
    add_property(out, "header.s", s->selector);
    add_property(out, "header.a", s->algorithm);
    add_property(out, "header.b", bytes_head(s->signature, TAIL)); /* RFC 6008 */
}

static void add_signatures(const struct verified *v, struct buf *out)
{
    for (size_t i = 0; i < v->n_dkim; i++)
        add_dkim(&v->dkim[i], out);
    if (!v->n_dkim)
        begin(out, "dkim", AUTH_NONE);
}

static void add_dmarc(const struct dmarc_verdict *d, struct buf *out)
{
    begin(out, "dmarc", d->result);
    if (d->policy != DMARC_UNSAID)
        buf_addf(out, " (p=%.*s dis=%.*s)", SHOW(dmarc_policy_text(d->policy)),
                 SHOW(dmarc_policy_text(d->disposition)));
    add_property(out, "header.from", d->from);
    if (d->policy_domain.p)
        add_property(out, "policy.dmarc", dmarc_policy_text(d->policy));
}

static void add_arc(const struct arc_seen *a, struct buf *out)
{
    if (a->result == AUTH_NONE)
        return;
    begin(out, "arc", a->result);
    if (a->why.n)
        add_reason(out, a->why);
    else
        buf_addf(out, " (i=%u)", a->instances);
    add_property(out, "header.d", a->domain);
}

void auth_results_write(const struct auth_results *r, struct buf *out)
{
    struct buf text;

    buf_init(&text, TEXT_MAX);
    auth_write_value(&text, r->host);
    if (r->spf)
        add_spf(r, &text);
    if (r->signatures)
        add_signatures(r->signatures, &text);
    if (r->dmarc)
        add_dmarc(r->dmarc, &text);
    if (r->signatures)
        add_arc(&r->signatures->arc, &text);
    if (!r->spf && !r->signatures && !r->dmarc)
        buf_adds(&text, "; none");
    if (!text.overflowed)
        auth_write_field(out, "Authentication-Results", buf_bytes(&text));
    buf_clear(&text);
}

/* ---- what others wrote ---- */

/* Behind blanks and comments, which may stand in one another. */
static struct bytes skip_comments(struct bytes text)
{
    int depth = 0;
    size_t i = 0;

    for (; i < text.n; i++) {
        char c = text.p[i];

        if (c == '\\' && depth)
            i++;
        else if (c == '(')
            depth++;
        else if (c == ')' && depth)
            depth--;
        else if (!depth && !char_is_blank(c))
            break;
    }
    return bytes_from(text, i);
}

/* One letter of the id; -1: it ends. */
static int next_letter(struct bytes *text, bool quoted)
{
    while (text->n) {
        char c = text->p[0];

        *text = bytes_from(*text, 1);
        if (quoted && (c == '\r' || c == '\n')) /* folded */
            continue;
        if (quoted && c == '\\' && text->n) {
            c = text->p[0];
            *text = bytes_from(*text, 1);
            return (unsigned char)c;
        }
        if (quoted ? c == '"' : char_is_blank(c) || char_in(c, BYTES(";(/=")))
            return -1;
        return (unsigned char)c;
    }
    return -1;
}

bool auth_results_ours(const struct header *field, struct bytes host)
{
    struct bytes text = skip_comments(field->value);
    bool quoted = bytes_starts(text, BYTES("\""));
    size_t i = 0;
    int c;

    if (!bytes_equal_nocase(field->name, BYTES("Authentication-Results")))
        return false;
    text = bytes_from(text, quoted);
    while ((c = next_letter(&text, quoted)) >= 0) {
        if (i == host.n && c == '.') /* the root's dot */
            continue;
        if (i >= host.n || char_lower((char)c) != char_lower(host.p[i]))
            return false;
        i++;
    }
    return i == host.n && i > 0;
}

bool auth_results_strip(struct bytes header, struct bytes host, struct buf *out)
{
    struct bytes rest = header;
    const char *from = header.p;
    struct header h;
    bool any = false;

    if (!header.n)
        return false;
    while (header_next(&rest, &h)) {
        if (!auth_results_ours(&h, host))
            continue;
        any = true;
        buf_add(out, (struct bytes){ from, (size_t)(h.whole.p - from) });
        from = h.whole.p + h.whole.n;
    }
    buf_add(out, (struct bytes){ from, (size_t)(header.p + header.n - from) });
    return any;
}

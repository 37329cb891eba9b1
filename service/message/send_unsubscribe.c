/* service/message/send_unsubscribe.c - how whoever gets a mail says that it was the last: the fields List-Unsubscribe
 * and List-Unsubscribe-Post (RFC 2369, RFC 8058), and what {{unsubscribe_url}} stands for.
 *
 * A link of ours names one recipient, sealed, so there is exactly one. A request may name a URL of its own instead, or
 * an address beside it. A broadcast always says how, by one click. */
#include "mail/header.h"
#include "service/core/public_url.h"
#include "service/identity/stream.h"
#include "service/message/message_private.h"
#include "service/message/unsubscribe.h"
#include "service/queue/suppression.h"

#define URL_MOST    900 /* of a line of the header, with what stands around it (RFC 5322 2.1.1) */
#define MAILTO_MOST 320

/* ---- what is asked for ---- */

struct way {
    bool hosted;    /* a link of ours */
    bool one_click; /* a POST does it */
};

static bool is_link(struct bytes url, bool one_click)
{
    bool good =
        bytes_starts_nocase(url, BYTES("https://")) || (!one_click && bytes_starts_nocase(url, BYTES("http://")));

    for (size_t i = 0; i < url.n; i++)
        good = good && url.p[i] > ' ' && url.p[i] < 127 && url.p[i] != '<' && url.p[i] != '>' && url.p[i] != ',';
    return good && url.n <= URL_MOST;
}

static void check(struct call *c, const struct send_unsubscribe *u, bool one_click)
{
    struct bytes normal;
    struct err why = { 0 };

    if (u->url.p && !is_link(u->url, one_click))
        call_fault(c, "/unsubscribe/url", "invalid_url", "%s, of at most %d ASCII characters without < > and ,",
                   one_click ? "An https URL (one click is a POST to it)" : "An http or https URL", URL_MOST);
    if (u->mailto.p && (u->mailto.n > MAILTO_MOST || !bytes_is_ascii(u->mailto) ||
                        !suppression_email(u->mailto, c->arena, &normal, &why)))
        call_fault(c, "/unsubscribe/mailto", "invalid_address", "An address that anybody can write to: ASCII");
    if (u->topic.p && (!u->topic.n || u->topic.n > SUPPRESSION_TOPIC_MAX || bytes_has_ctl_line(u->topic)))
        call_fault(c, "/unsubscribe/topic", "too_long", "1 to %d bytes, in one line", SUPPRESSION_TOPIC_MAX);
}

/* False: nothing is said of it. */
static bool is_asked(struct call *c, const struct sending *s, struct way *out)
{
    const struct send_unsubscribe *u = &s->in->unsubscribe;
    bool demanded = bytes_equal(s->stream.unsubscribe, BYTES("one_click"));

    *out = (struct way){ 0 };
    if (!u->given && !demanded)
        return false;
    if (u->refused && stream_is_broadcast(&s->stream))
        call_fault(c, "/unsubscribe/one_click", "not_allowed", "Who gets a broadcast can unsubscribe by one click");
    out->one_click = !u->refused && (u->one_click || demanded || (!u->url.p && !u->mailto.p));
    out->hosted = out->one_click && !u->url.p;
    check(c, u, out->one_click);
    return out->hosted || u->url.p || u->mailto.p;
}

/* It would contradict what we write. */
void send_unsubscribe_check(struct call *c, const struct sending *s)
{
    const struct message_send_in *in = s->in;

    for (size_t i = 0; s->unsubscribe.n_fields && i < in->n_headers; i++)
        if (bytes_starts_nocase(in->headers[i].name, BYTES("List-Unsubscribe"))) {
            call_fault(c, "/headers", "header_not_allowed", "`unsubscribe`, or the stream, says what %.*s says",
                       SHOW(in->headers[i].name));
            return;
        }
}

/* ---- a link of ours ---- */

/* The only recipient, in the form of suppressions; NO_BYTES where there are none, or several. */
static struct bytes only_one(struct call *c, const struct message_send_in *in, bool *several)
{
    const struct send_address *lists[] = { in->to, in->cc, in->bcc };
    const size_t lengths[] = { in->n_to, in->n_cc, in->n_bcc };
    struct bytes first = NO_BYTES, email;
    struct err ignored = { 0 };

    *several = false;
    for (size_t k = 0; k < 3 && !*several; k++)
        for (size_t i = 0; i < lengths[k] && !*several; i++) {
            if (!suppression_email(lists[k][i].address.email, c->arena, &email, &ignored))
                continue; /* that is told elsewhere */
            *several = first.p && !bytes_equal(first, email);
            first = email;
        }
    return *several ? NO_BYTES : first;
}

static bool make_link(struct call *c, struct sending *s)
{
    const struct send_unsubscribe *u = &s->in->unsubscribe;
    struct unsubscribing of = { .account = c->account, .message = s->message, .topic = u->topic };
    struct bytes base;
    bool several;

    of.email = only_one(c, s->in, &several);
    if (several)
        call_fault(c, "/to", "single_recipient",
                   "Unsubscribing by a link of this server is one recipient's: send each a mail of its own");
    if (!of.email.p)
        return true;
    of.stream = u->topic.p ? NO_ID : s->stream.id;
    if (!public_url_of_links(c, &base))
        return false;
    s->unsubscribe.url = unsubscribe_link(c, base, &of);
    return true;
}

/* ---- the fields ---- */

/* What may not stand in a mailto: URI as it is (RFC 6068). */
static void add_mailto(struct buf *out, struct bytes address)
{
    buf_adds(out, "<mailto:");
    for (size_t i = 0; i < address.n; i++) {
        char x = address.p[i];

        if ((x >= '0' && x <= '9') || (x >= 'A' && x <= 'Z') || (x >= 'a' && x <= 'z') || strchr("-._~!$'*+@", x))
            buf_addc(out, x);
        else
            buf_addf(out, "%%%02X", (unsigned)(unsigned char)x);
    }
    buf_addc(out, '>');
}

static void write_fields(struct call *c, struct sending *s, bool one_click)
{
    struct named_value *fields = arena_array(c->arena, 2, sizeof *fields);
    struct bytes mailto = s->in->unsubscribe.mailto, url = s->unsubscribe.url;
    struct buf value;

    buf_init(&value, 4096);
    if (url.p)
        buf_addf(&value, "<%.*s>", SHOW(url));
    if (url.p && mailto.p)
        buf_adds(&value, ", ");
    if (mailto.p)
        add_mailto(&value, mailto);
    fields[0] = (struct named_value){ BYTES("List-Unsubscribe"), arena_copy(c->arena, buf_bytes(&value)) };
    fields[1] = (struct named_value){ BYTES("List-Unsubscribe-Post"), BYTES("List-Unsubscribe=One-Click") };
    s->unsubscribe.fields = fields;
    s->unsubscribe.n_fields = one_click && url.p ? 2 : 1;
    buf_clear(&value);
}

bool send_unsubscribe(struct call *c, struct sending *s)
{
    struct way way;

    if (!is_asked(c, s, &way))
        return true;
    s->unsubscribe.url = s->in->unsubscribe.url;
    if (way.hosted && !make_link(c, s))
        return false;
    if (s->unsubscribe.url.p || s->in->unsubscribe.mailto.p)
        write_fields(c, s, way.one_click);
    return true;
}

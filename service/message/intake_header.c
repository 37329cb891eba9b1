/* service/message/intake_header.c - what a header must be and what submission adds to it (RFC 6409 6, 8; RFC 5321 6.3).
 * Mail of others is only looked at for loops: what a stranger wrote is kept to the byte. A header is written anew only
 * where something has to go (Bcc) or is missing, for each change may break a signature. */
#include "base/clock.h"
#include "base/params.h"
#include "service/body/structure.h"
#include "service/identity/sender.h"
#include "service/message/intake_private.h"
#include "service/queue/return_path.h"

/* Most addresses of From that are looked at: two are too many already. */
#define FROM_LOOK 2

static bool check_loop(struct bytes header, struct err *e)
{
    size_t n = header_count(header, "Received");

    if (n <= (size_t)PARAM_INT(message, received_max))
        return true;
    return err_set(e, ERR_LOOP, "%zu Received lines: the mail runs in a circle", n);
}

/* Exactly one address, no group around it, and one that may be used. */
static bool check_person(struct call *c, struct intake *k, const struct header *field, struct address *out)
{
    struct address_list list = { 0 };

    address_list_parse(field->value, FROM_LOOK, mail_limits_now(), k->arena, &list);
    if (list.n != 1 || list.faults || list.groups)
        return err_set(&c->err, ERR_INVALID, "%.*s must name exactly one address", SHOW(bytes_head(field->name, 40)));
    *out = list.list[0];
    return sender_allowed(c, out);
}

/* Exactly one field (RFC 6409 6.1, 8.1). */
static bool check_author(struct call *c, struct intake *k, struct bytes header, const char *name, struct address *out)
{
    struct header field;
    size_t n = header_count(header, name);

    if (n != 1)
        return err_set(&c->err, ERR_INVALID, n ? "More than one %s field" : "There is no %s field", name);
    header_find(header, name, 0, &field);
    return check_person(c, k, &field, out);
}

/* Who is said to have sent it must be allowed to, beside the author; likewise who is said to have sent it again. Of
 * those the first field counts: what others did before stands below (RFC 5322 3.6.6). */
static bool check_sender(struct call *c, struct intake *k, struct bytes header)
{
    static const char *const again[] = { "Resent-From", "Resent-Sender" };
    struct address sender;
    struct header field;

    if (header_count(header, "Sender") && !check_author(c, k, header, "Sender", &sender))
        return false;
    for (size_t i = 0; i < sizeof again / sizeof *again; i++)
        if (header_find(header, again[i], 0, &field) && !check_person(c, k, &field, &sender))
            return false;
    return true;
}

/* Recipients that the others shall not see (RFC 5322 3.6.3, 3.6.6). */
/* Results that somebody else wrote in our name are no results (RFC 8601 5). */
static void strip_results(struct intake *k, struct bytes head, struct bytes *out)
{
    if (!k->origin.wanted)
        return;
    buf_init(&k->rewritten, head.n + 1);
    if (auth_results_strip(head, PARAM_TEXT(server, hostname), &k->rewritten))
        *out = buf_bytes(&k->rewritten);
    else
        buf_clear(&k->rewritten);
}

static bool is_blind(struct bytes name)
{
    return bytes_equal_nocase(name, BYTES("Bcc")) || bytes_equal_nocase(name, BYTES("Resent-Bcc"));
}

static void add_missing(struct intake *k, const struct call *c, struct bytes header, const struct address *from,
                        struct buf *out)
{
    char date[CLOCK_TEXT + 8], id[ID_TEXT + 1];
    struct bytes domain;
    struct err ignored = { 0 };

    if (!header_count(header, "Date") && !k->undated)
        buf_addf(out, "Date: %.*s\r\n", SHOW(clock_rfc5322(k->now, date)));
    if (header_count(header, "Message-ID"))
        return;
    if (!domain_normalize(from->domain, k->arena, &domain, &ignored))
        domain = PARAM_TEXT(server, hostname);
    id_format(message_kind.prefix, return_path_veil(c->svc, k->message_id), id);
    buf_addf(out, "Message-ID: <%s@%.*s>\r\n", id, SHOW(domain));
}

static struct bytes rewrite(struct intake *k, const struct call *c, struct bytes head, struct bytes header,
                            const struct address *from)
{
    struct bytes rest = header, behind = bytes_from(head, header.n);
    struct header field;
    struct buf *out = &k->rewritten;

    buf_init(out, head.n + 1024);
    while (header_next(&rest, &field))
        if (!is_blind(field.name))
            buf_add(out, field.whole);
    if (out->n && !bytes_ends(buf_bytes(out), BYTES("\r\n")))
        buf_adds(out, "\r\n");
    add_missing(k, c, header, from, out);
    buf_add(out, behind.n ? behind : BYTES("\r\n"));
    return buf_bytes(out);
}

/* Somebody else than the users of this server gets it. What test keys write leaves nothing here. */
static bool goes_further(const struct intake *k, const struct call *c)
{
    for (size_t i = 0; i < k->in.n_recipients; i++) {
        const struct recipient *r = &k->in.recipients[i];

        if (r->kind == RECIPIENT_REMOTE || r->kind == RECIPIENT_SANDBOX || r->forward.p)
            return !c->who || !c->who->test;
    }
    return false;
}

static void sign_as(struct intake *k, const struct call *c, const struct directory_domain *domain)
{
    k->sign.wanted = PARAM_INT(dkim, sign) && !intake_waits(k) && goes_further(k, c);
    if (!k->sign.wanted)
        return;
    k->sign.domain.id = domain->id;
    k->sign.domain.account_id = domain->account_id;
    k->sign.domain.name = arena_copy(k->arena, domain->name);
}

/* What we write ourselves is signed by the domain that our name is in, where that is one of ours: mail from
 * MAILER-DAEMON@mx.example.org by example.org, which is aligned (RFC 9989: relaxed). */
static bool sign_own(struct intake *k, struct call *c, struct bytes header)
{
    struct directory_domain domain;
    struct address_list from = { 0 };
    struct bytes name, label;
    struct header field;

    if (!header_find(header, "From", 0, &field) || !goes_further(k, c))
        return true;
    address_list_parse(field.value, FROM_LOOK, mail_limits_now(), k->arena, &from);
    for (name = from.n == 1 ? from.list[0].domain : NO_BYTES; bytes_find(name, '.') < name.n;
         bytes_cut(name, '.', &label, &name)) {
        if (directory_domain(c, name, &domain)) {
            sign_as(k, c, &domain);
            return true;
        }
        if (!call_was_missing(c))
            return false;
    }
    return true;
}

bool intake_author(struct intake *k, struct call *c, struct bytes header, struct address *from)
{
    struct directory_domain domain;

    if (!check_author(c, k, header, "From", from) || !check_sender(c, k, header) ||
        !directory_domain(c, from->domain, &domain))
        return false;
    k->domain_id = domain.id;
    if (!sender_untrusted(c, &domain, k->in.envelope_from, &k->untrusted))
        return false;
    sign_as(k, c, &domain);
    return true;
}

bool intake_header(struct intake *k, struct call *c, struct bytes head, struct bytes *out)
{
    struct bytes header = bytes_head(head, header_end(head));
    struct address from;

    *out = head;
    if (!check_loop(header, &c->err))
        return false;
    k->foreign_dkim = header_count(header, "DKIM-Signature") > 0;
    if (k->in.source == SOURCE_SYSTEM)
        return sign_own(k, c, header);
    strip_results(k, head, out);
    if (k->in.source != SOURCE_API && k->in.source != SOURCE_SUBMISSION)
        return true;
    if (!intake_author(k, c, header, &from))
        return false;
    k->undated = intake_waits(k) && !header_count(header, "Date");
    k->people = k->in.people.p ? k->in.people : summary_people_json(header, k->arena);
    if (header_count(header, "Bcc") || header_count(header, "Resent-Bcc") || !header_count(header, "Date") ||
        !header_count(header, "Message-ID"))
        *out = rewrite(k, c, head, header, &from);
    return true;
}

static struct bytes received_line(struct intake *k)
{
    struct received r = k->in.received;
    struct buf out;

    if (!r.helo.p)
        return NO_BYTES;
    r.id = id_text(k->arena, message_kind.prefix, k->message_id);
    r.host = PARAM_TEXT(server, hostname);
    r.for_address = k->in.n_recipients == 1 ? k->in.recipients[0].email : NO_BYTES;
    r.date = k->now;
    buf_init(&out, 8192);
    received_write(&r, &out);
    return arena_take(k->arena, &out);
}

void intake_describe(struct intake *k)
{
    k->trace = received_line(k);
    summary_make(k->index, body_preview(k->body), k->arena, &k->summary);
    k->needs_utf8 =
        headers_have_8bit(k->index, body_preview(k->body)) || has_8bit(k->trace) || has_8bit(k->in.envelope_from);
    k->header_8bit = k->in.utf8 && k->needs_utf8;
}

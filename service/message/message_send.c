/* service/message/message_send.c - a send by JSON, and the rules for it; the mail itself is made in send_compose.c.
 *
 * All faults of the request are found before the first rule that could refuse it, and told together. Recipients are
 * only marked: one that is missing or full bounces by itself, as it would for a mail that had gone further. */
#include "service/core/state.h"
#include "service/identity/directory.h"
#include "service/identity/domain_records.h"
#include "service/identity/sender.h"
#include "service/message/message_private.h"
#include "service/message/send_check.h"

static bool check_sent(struct call *c, const struct message_send_in *in)
{
    struct directory_user user;
    bool found;

    if (!in->save_to_sent || !in->from.address.domain.p)
        return true;
    found = directory_find(c, &in->from.address, &user);
    if (!found && !call_was_missing(c))
        return false;
    if (!found || user.how == FOUND_CATCH_ALL || !id_equal(user.account_id, c->account) ||
        !call_reaches(c, user.domain_id))
        call_fault(c, "/save_to_sent", "no_such_user", "No user has the address of from");
    return true;
}

/* Recipients are marked, not refused: what is missing or full bounces by itself. */
static bool find_recipient(struct call *c, const struct recipient_check_in *in, const char *where,
                           struct recipient *out)
{
    if (recipient_check(c, in, out))
        return true;
    if (c->err.code != ERR_SYNTAX)
        return false;
    call_fault(c, where, "invalid_address", "%s", c->err.message);
    c->err = (struct err){ 0 };
    return call_check(c);
}

bool send_recipient(struct call *c, const struct address *address, const char *where, struct recipient *out)
{
    const struct recipient_check_in in = { .address = *address, .utf8_ok = true, .lenient = true };

    return find_recipient(c, &in, where, out);
}

static bool check_all(struct call *c, struct sending *s, const struct send_address *list, size_t n)
{
    struct recipient_check_in in = { .utf8_ok = true, .lenient = true, .uncounted = s->uncounted };

    for (size_t i = 0; i < n; i++) {
        in.address = list[i].address;
        if (!find_recipient(c, &in, list[i].pointer, &s->recipients[s->n++]))
            return false;
    }
    return true;
}

static int by_email(const void *a, const void *b)
{
    const struct recipient *const *x = a, *const *y = b;
    int order = bytes_compare((*x)->email, (*y)->email);

    return order ? order : (*x > *y) - (*x < *y); /* the first one stays */
}

size_t send_unique(struct call *c, struct recipient *list, size_t n)
{
    struct recipient **sorted = arena_array(c->arena, n, sizeof(struct recipient *));
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        sorted[i] = &list[i];
    qsort(sorted, n, sizeof *sorted, by_email);
    for (size_t i = n; i-- > 1;)
        if (bytes_equal(sorted[i]->email, sorted[i - 1]->email))
            sorted[i]->email = NO_BYTES;
    for (size_t i = 0; i < n; i++)
        if (list[i].email.p)
            list[kept++] = list[i];
    return kept;
}

static bool find_recipients(struct call *c, struct sending *s)
{
    const struct message_send_in *in = s->in;

    s->n = 0;
    s->recipients = arena_array(c->arena, in->n_to + in->n_cc + in->n_bcc, sizeof *s->recipients);
    if (!check_all(c, s, in->to, in->n_to) || !check_all(c, s, in->cc, in->n_cc) ||
        !check_all(c, s, in->bcc, in->n_bcc))
        return false;
    s->n = send_unique(c, s->recipients, s->n);
    return true;
}

/* A test key may say what a live one will. */
static bool may_bypass(struct call *c)
{
    return (c->who->test && c->who->scopes & SCOPE_SUPPRESSIONS) || call_may(c, SCOPE_SUPPRESSIONS);
}

bool send_prepare(struct call *c, struct sending *s)
{
    const struct message_send_in *in;
    struct thread thread = { 0 };

    if ((s->in->bypass && !may_bypass(c)) || !send_stream(c, s) || !send_unsubscribe(c, s) || !send_template(c, s))
        return false;
    in = s->in;
    send_check(c, in);
    send_unsubscribe_check(c, s);
    if (!check_sent(c, in))
        return false;
    if (in->from.address.domain.p)
        send_describe(c, s);
    if (in->in_reply_to.p && !thread_find(c, in->in_reply_to, &thread))
        return false;
    if (!call_check(c) || !sender_allowed(c, &in->from.address) ||
        (in->envelope_from.pointer && !sender_allowed(c, &in->envelope_from.address)))
        return false;
    s->mail.in_reply_to = thread.in_reply_to;
    s->mail.references = thread.references;
    return find_recipients(c, s) && send_tracking(c, s);
}

bool send_may_leave(struct call *c, const struct sending *s)
{
    const struct address *from = &s->in->from.address, *envelope = &s->in->envelope_from.address;
    struct directory_domain author;
    struct bytes untrusted;
    bool leaves = false;

    for (size_t i = 0; i < s->n; i++)
        leaves = leaves || s->recipients[i].kind == RECIPIENT_REMOTE;
    if (!leaves || c->who->test || !service_is_live(c->svc))
        return true;
    if (!directory_domain(c, from->domain, &author) ||
        !sender_untrusted(c, &author, s->in->envelope_from.pointer ? envelope->email : from->email, &untrusted))
        return false;
    return !untrusted.p || domain_unverified(c, untrusted);
}

static bool send_composed(struct call *c, const struct message_send_in *in, struct intake_out *out)
{
    struct sending s = { .in = in, .message = id_new() };
    struct intake *intake;

    return send_prepare(c, &s) && send_hand_in(c, &s, &intake) && intake_commit(&intake, c, out);
}

bool message_send(struct call *c, const struct message_send_in *in, struct intake_out *out)
{
    if (!call_may(c, SCOPE_SEND))
        return false;
    if (c->idempotency)
        c->idempotency->kept_from = in->scheduled_at;
    return in->is_raw ? send_raw(c, in, out) : send_composed(c, in, out);
}

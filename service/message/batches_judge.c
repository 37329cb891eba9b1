/* service/message/batches_judge.c - every message of a batch judged by itself, before any is taken.
 *
 * The rules are those of a single send, and what is read for one is forgotten before the next. Most batches are small:
 * then what was composed is kept, for it to be taken; of larger ones the rest is read again. What may be composed is
 * bounded before it is: by an upper bound where that is enough, which it nearly always is, else by composing. */
#include "base/params.h"
#include "net/fiber.h"
#include "service/core/limits.h"
#include "service/message/batches_private.h"

/* Of one rejected message so many faults are told. */
#define FAULTS_EACH 20
/* What a header costs beside what it holds. */
#define HEADER_BOUND 8192
/* So much of what was composed is kept until it is taken. */
#define KEPT_BYTES ((int64_t)16 * 1024 * 1024)

void run_next(struct batch_run *x, struct arena *a)
{
    x->one = *x->call;
    x->one.arena = a;
    x->one.idempotency = NULL;
    x->one.faults = NULL;
    x->one.n_faults = 0;
    x->one.err = (struct err){ 0 };
}

bool run_read(struct batch_run *x, struct arena *a, size_t i, struct message_send_in *in)
{
    run_next(x, a);
    *in = (struct message_send_in){ 0 };
    if (x->in->read(x->in->ctx, &x->one, i, in))
        return true;
    x->call->err = x->one.err;
    return false;
}

static const char *pointer_of(struct arena *a, size_t i, struct bytes pointer)
{
    return arena_printf(a, "/messages/%zu%.*s", i, SHOW(pointer));
}

/* The rule that refused it, where that has named no field. */
static void name_fault(struct call *one)
{
    enum err_code code = one->err.code;

    if (!one->n_faults)
        call_fault(one, code == ERR_SENDER || code == ERR_UNVERIFIED ? "/from" : "", err_row(code)->api, "%s",
                   err_told(&one->err));
}

static void keep_faults(struct batch_run *x, size_t i)
{
    struct batch_item *item = &x->items[i];
    size_t n = x->one.n_faults < FAULTS_EACH ? x->one.n_faults : FAULTS_EACH;
    struct fault *list = arena_array(x->call->arena, n ? n : 1, sizeof *list);

    for (size_t k = 0; k < n; k++)
        list[k] = (struct fault){ bytes_of(pointer_of(x->call->arena, i, x->one.faults[k].pointer)),
                                  arena_copy(x->call->arena, x->one.faults[k].code),
                                  arena_copy(x->call->arena, x->one.faults[k].message) };
    item->faults = list;
    item->n_faults = n;
}

bool run_reject(struct batch_run *x, size_t i)
{
    struct call *one = &x->one;

    if (!one->err.code)
        call_check(one);
    if (err_row(one->err.code)->http >= 500 || one->err.code == ERR_BAD_JSON) {
        x->call->err = one->err;
        return false;
    }
    name_fault(one);
    x->items[i].err = one->err;
    keep_faults(x, i);
    one->err = (struct err){ 0 };
    one->n_faults = 0;
    return true;
}

/* ---- how much there is ---- */

/* No mail that is composed of this is larger: quoted-printable makes three bytes of one at most. A calendar is there
 * twice. */
static int64_t bound_of(const struct message_send_in *in)
{
    size_t people = in->n_to + in->n_cc + in->n_bcc + in->n_reply_to;
    size_t text = in->text.n + in->html.n + in->amp_html.n + (in->text.p ? 0 : in->html.n) + 4 * in->calendar.content.n;
    size_t n = HEADER_BOUND + 3 * in->subject.n;

    n += 3 * text + 1024 * people;
    for (size_t i = 0; i < in->n_headers; i++)
        n += 4 * (in->headers[i].name.n + in->headers[i].value.n);
    for (size_t i = 0; i < in->n_attachments; i++)
        n += in->attachments[i].content.n * 3 + 2048;
    return (int64_t)n;
}

/* What it made goes with it. */
static bool rejected(struct batch_run *x, size_t i, struct arena_mark before)
{
    bool ok = run_reject(x, i);

    arena_rewind(x->one.arena, before);
    return ok;
}

struct amount {
    size_t recipients;
    int64_t bound, built; /* built: of what was composed to know */
};

/* A message that may be too large is composed, or it would be found out when others were taken already. */
static bool fits(struct batch_run *x, const struct sending *s, int64_t bound)
{
    struct buf mail;
    bool ok;

    if (bound <= PARAM_INT(message, size_max))
        return true;
    buf_init(&mail, (size_t)PARAM_INT(message, size_max));
    ok = send_write(&x->one, s, &mail);
    buf_clear(&mail);
    return ok;
}

/* What of the request is not the arena's own. */
static void own(struct arena *a, struct intake_in *k)
{
    struct named_value *tags = arena_array(a, k->n_tags ? k->n_tags : 1, sizeof *tags);

    for (size_t i = 0; i < k->n_tags; i++)
        tags[i] = (struct named_value){ arena_copy(a, k->tag_list[i].name), arena_copy(a, k->tag_list[i].value) };
    k->tag_list = tags;
    k->envelope_from = arena_copy(a, k->envelope_from);
    k->sent_address = arena_copy(a, k->sent_address);
    k->priority = k->priority.p ? arena_copy(a, k->priority) : NO_BYTES;
    k->topic = k->topic.p ? arena_copy(a, k->topic) : NO_BYTES;
}

/* So that it need not be read, rendered and composed once more. */
static bool keep(struct batch_run *x, size_t i, const struct sending *s)
{
    struct ready *r = &x->ready[i];
    struct buf mail;
    bool ok;

    buf_init(&mail, (size_t)PARAM_INT(message, size_max));
    ok = send_write(&x->one, s, &mail);
    if (ok) {
        r->in = send_intake(&x->one, s);
        own(x->kept, &r->in);
        r->mail = arena_copy(x->kept, buf_bytes(&mail));
    }
    buf_clear(&mail);
    return ok;
}

static bool judge_one(struct batch_run *x, size_t i, struct amount *sum)
{
    bool keeps = (int64_t)arena_used(x->kept) < KEPT_BYTES;
    struct arena *a = keeps ? x->kept : x->work;
    struct arena_mark before = arena_mark(a);
    struct message_send_in in;
    struct sending s = { .in = &in, .message = batch_message_id(&x->row, i), .batch = x->row.id, .uncounted = true };
    int64_t bound;

    if (!run_read(x, a, i, &in))
        return false;
    if (!call_check(&x->one) || !send_prepare(&x->one, &s) || !send_may_leave(&x->one, &s))
        return rejected(x, i, before);
    bound = bound_of(s.in);
    keeps = keeps && bound < KEPT_BYTES;
    if (keeps ? !keep(x, i, &s) : !fits(x, &s, bound))
        return rejected(x, i, before);
    sum->recipients += s.n;
    sum->bound += bound;
    if (!keeps)
        arena_rewind(a, before);
    return true;
}

static bool size_one(struct batch_run *x, size_t i, int64_t *built)
{
    struct message_send_in in;
    struct sending s = { .in = &in, .uncounted = true };
    struct buf mail;
    bool ok;

    arena_reset(x->work);
    if (!run_read(x, x->work, i, &in))
        return false;
    s.message = batch_message_id(&x->row, i);
    buf_init(&mail, (size_t)PARAM_INT(message, size_max));
    ok = send_prepare(&x->one, &s) && send_write(&x->one, &s, &mail);
    *built += (int64_t)mail.n;
    buf_clear(&mail);
    return ok || run_reject(x, i);
}

/* Only where the bound says that it may be too much. */
static bool check_built(struct batch_run *x, int64_t bound)
{
    int64_t most = PARAM_INT(batch, built_max), built = 0;

    for (size_t i = 0; bound > most && i < x->in->n; i++) {
        if (!x->items[i].err.code && !size_one(x, i, &built))
            return false;
        x->in->forget(x->in->ctx);
        if (built > most)
            return err_set(&x->call->err, ERR_TOO_LARGE, "The messages have more than %lld bytes together",
                           (long long)most);
        fiber_turn();
    }
    return true;
}

/* ---- the whole ---- */

/* Of a batch that was begun nobody can be refused any more. */
static bool tell_strict(struct batch_run *x)
{
    struct call *c = x->call;

    for (size_t i = 0; i < x->in->n; i++)
        for (size_t k = 0; k < x->items[i].n_faults; k++) {
            const struct fault *f = &x->items[i].faults[k];

            call_fault(c, f->pointer.p, arena_text(c->arena, f->code), "%.*s", SHOW(f->message));
        }
    return call_check(c);
}

static bool check_amount(struct batch_run *x, const struct amount *sum)
{
    struct call *c = x->call;
    size_t most = (size_t)PARAM_INT(batch, recipients_max);

    if (sum->recipients > most)
        call_fault(c, "/messages", "too_many", "At most %zu recipients in all messages", most);
    return call_check(c) && check_built(x, sum->bound);
}

bool run_judge(struct batch_run *x)
{
    struct amount sum = { 0 };

    for (size_t i = 0; i < x->in->n; i++) {
        bool ok = judge_one(x, i, &sum);

        x->in->forget(x->in->ctx);
        if (!ok)
            return false;
        fiber_turn();
    }
    if (x->resumed)
        return true;
    if (!x->in->permissive && !tell_strict(x))
        return false;
    return check_amount(x, &sum) && limits_recipients(x->call, (int64_t)sum.recipients);
}

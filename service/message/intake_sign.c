/* service/message/intake_sign.c - DKIM signatures of what goes further than our own mailboxes (RFC 6376).
 *
 * The header is hashed when it is whole, the body while it comes, and both are signed before the batch: nothing is read
 * twice, and what is kept, captured, sent and laid into Sent are the same bytes. Signatures are trace lines: the body
 * stays as it came. Mail by a test key is not signed, for whoever has such a key can read it, and could send it from
 * elsewhere. What is under way between our own mailboxes has nobody who would ask. */
#include "base/clock.h"
#include "base/params.h"
#include "mail/dkim_sign.h"
#include "net/fiber.h"
#include "service/core/state.h"
#include "service/identity/dkim_signer.h"
#include "service/message/intake_private.h"

/* A longer header is taken in by a worker. */
#define HEADER_INLINE ((size_t)16 * 1024)
#define LINES_MAX     ((size_t)64 * 1024)
/* Of mail of no stream: what people send one by one. */
#define STREAM BYTES("transactional")

struct header_job {
    struct intake *k;
    struct bytes header;
    struct err err;
    bool ok;
};

static void header_work(void *arg)
{
    struct header_job *job = arg;

    job->ok = dkim_fields_take(&job->k->sign.fields, job->k->sign.feedback, job->header, &job->err);
}

static struct bytes feedback_line(struct intake *k, struct bytes header)
{
    struct bytes line;
    struct buf out;

    if (k->in.source == SOURCE_SYSTEM || header_count(header, "Feedback-ID"))
        return NO_BYTES;
    buf_init(&out, 512);
    feedback_id_write(&out, k->in.stream.p ? k->in.stream : STREAM,
                      id_text(k->arena, account_kind.prefix, k->sign.domain.account_id));
    line = arena_copy(k->arena, buf_bytes(&out));
    buf_clear(&out);
    return line;
}

bool intake_sign_header(struct intake *k, struct call *c, struct bytes kept)
{
    struct header_job job = { .k = k, .header = kept };

    if (!k->sign.wanted)
        return true;
    k->sign.feedback = feedback_line(k, kept);
    if (kept.n <= HEADER_INLINE)
        header_work(&job);
    else if (!offload(POOL_CPU, header_work, &job, &c->err))
        return false;
    if (!job.ok) {
        c->err = job.err;
        return false;
    }
    dkim_body_begin(&k->sign.body);
    return true;
}

void intake_sign_body(struct intake *k, struct bytes piece)
{
    if (k->sign.fields)
        dkim_body_feed(&k->sign.body, piece);
}

void intake_sign_drop(struct intake *k)
{
    dkim_fields_free(&k->sign.fields);
    dkim_body_drop(&k->sign.body);
}

struct sign_job {
    struct intake *k;
    struct dkim_signer *signer;
    uint8_t hash[DKIM_HASH];
    struct buf *out;
    struct err err;
    bool ok;
};

static void sign_work(void *arg)
{
    struct sign_job *job = arg;
    struct dkim_signing s = { .domain = job->k->sign.domain.name, .now = job->k->now };

    s.by = dkim_signer_by(job->signer, &s.n_by);
    job->ok = dkim_sign_fields(&s, job->k->sign.fields, job->hash, job->out, &job->err);
}

static void put_lines(struct intake *k, struct bytes signatures)
{
    k->sign.lines = arena_bytesf(k->arena, "%.*s%.*s", SHOW(signatures), SHOW(k->sign.feedback));
    k->trace = arena_bytesf(k->arena, "%.*s%.*s", SHOW(k->sign.lines), SHOW(k->trace));
}

static bool write_lines(struct intake *k, struct call *c, struct dkim_signer *signer)
{
    struct sign_job job = { .k = k, .signer = signer };
    struct buf out;
    bool ok;

    buf_init(&out, LINES_MAX);
    job.out = &out;
    dkim_body_end(&k->sign.body, job.hash);
    ok = offload(POOL_CPU, sign_work, &job, &c->err);
    if (ok && !job.ok) {
        c->err = job.err;
        ok = false;
    }
    if (ok)
        put_lines(k, buf_bytes(&out));
    buf_clear(&out);
    return ok;
}

/* The operator has said what becomes of mail that cannot be signed. What we write ourselves has nobody who could be
 * refused; nor has what was accepted before, which then waits for somebody. */
static bool go_without(struct intake *k, struct call *c)
{
    bool reject = bytes_equal(PARAM_TEXT(dkim, on_failure), BYTES("reject")) && k->in.source != SOURCE_SYSTEM;

    if (c->err.code != ERR_UNSIGNED || (reject && !k->again.message))
        return false;
    c->err = (struct err){ 0 };
    k->sign.hold = reject || bytes_equal(PARAM_TEXT(dkim, on_failure), BYTES("hold"));
    if (k->sign.hold) /* it will be signed when it leaves */
        put_lines(k, NO_BYTES);
    return true;
}

bool intake_sign(struct intake *k, struct call *c)
{
    struct dkim_signer *signer;
    bool ok;

    if (!k->sign.fields)
        return true;
    if (!dkim_signer_get(c, &k->sign.domain, &signer))
        return go_without(k, c);
    ok = write_lines(k, c, signer);
    dkim_signer_put(&signer);
    return ok;
}

#include "service/message/letter.h"
#include "service/core/state.h"
#include "service/message/intake.h"

#define LETTER_ARENA ((size_t)256 * 1024)

struct letter {
    struct arena *arena;
    struct call call;
    struct recipient to;
    struct intake *intake;
};

static void letter_drop(struct letter **l)
{
    if (!*l)
        return;
    intake_drop(&(*l)->intake);
    arena_free(&(*l)->arena);
    free(*l);
    *l = NULL;
}

/* Of an address with nobody behind it, *there is false. */
static bool look_up(struct letter *l, const struct letter_in *in, bool *there)
{
    struct recipient_check_in check = { .size = (int64_t)in->text.n, .utf8_ok = true, .lenient = true };

    *there = address_parse(in->to, l->arena, &check.address, &l->call.err) &&
             recipient_check(&l->call, &check, &l->to) && !l->to.missing;
    l->to.full = false;
    return *there || call_was_missing(&l->call);
}

static bool write_down(struct letter *l, const struct letter_in *in)
{
    struct intake_in i = { .source = SOURCE_SYSTEM,
                           .recipients = &l->to,
                           .n_recipients = 1,
                           .message_id = in->message_id,
                           .utf8 = true,
                           .file_later = true };

    return intake_begin(&l->call, &i, &l->intake) && intake_append(l->intake, &l->call, in->text) &&
           intake_end(l->intake, &l->call);
}

static bool letter_begin(struct service *svc, const struct letter_in *in, struct letter **out, struct err *e)
{
    struct letter *l = calloc(1, sizeof *l);
    bool there, ok;

    if (!l)
        die("out of memory: a letter");
    l->arena = arena_new(LETTER_ARENA);
    call_init(&l->call, svc, l->arena, "report");
    call_as_system(&l->call);
    l->call.account = in->account;
    ok = look_up(l, in, &there) && (!there || write_down(l, in));
    if (!ok)
        *e = l->call.err;
    *out = l;
    if (!ok || !there)
        letter_drop(out);
    return ok;
}

static bool letter_add(struct letter *l, struct batch *b, struct err *e)
{
    struct intake_out out;

    if (intake_build(l->intake, &l->call, b, &out))
        return true;
    *e = l->call.err;
    return false;
}

static void letter_done(struct letter *l)
{
    intake_done(l->intake, &l->call);
}

const struct letters letters_filed = { letter_begin, letter_add, letter_done, letter_drop };

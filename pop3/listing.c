/* pop3/listing.c - what needs no content: counting, listing, marking, and QUIT.
 *
 * DELE sets a bit and nothing else; only QUIT deletes (RFC 1939 6), and a session that ends in any other way deletes
 * nothing. Message numbers are places in the snapshot and never change within a session. The lock is given up before
 * QUIT is answered, since programs come back at once. */
#include "base/clock.h"
#include "base/log.h"
#include "base/params.h"
#include "pop3/session.h"

static bool is_marked(const struct pop3 *s, size_t i)
{
    return s->marked[i / 8] & (1u << (i % 8));
}

static size_t count(const struct pop3 *s)
{
    return maildrop_count(s->drop);
}

static int64_t octets_of_all(const struct pop3 *s)
{
    int64_t sum = 0;

    for (size_t i = 0; i < count(s); i++)
        sum += maildrop_item(s->drop, i).size;
    return sum;
}

void pop3_listing_begin(struct pop3 *s)
{
    s->marked = arena_alloc(s->session, count(s) / 8 + 1);
    s->n_marked = s->last = 0;
    s->octets = octets_of_all(s);
}

enum step pop3_message_number(struct pop3 *s, struct bytes text, size_t *index)
{
    int64_t n;

    if (!text.p || text.p[0] < '0' || text.p[0] > '9' || !bytes_to_int(text, &n) || n < 1 || (uint64_t)n > count(s))
        return step_refused(pop3_refuse(s, "No such message, there are %zu", count(s)));
    if (is_marked(s, (size_t)n - 1))
        return step_refused(pop3_refuse(s, "Message %lld is deleted", (long long)n));
    *index = (size_t)n - 1;
    return STEP_DONE;
}

bool pop3_stat(struct pop3 *s, struct bytes arg)
{
    (void)arg;
    return pop3_ok(s, "%zu %lld", count(s) - s->n_marked, (long long)s->octets);
}

/* LIST and UIDL: the same listing with another column. */
static bool size_line(struct pop3 *s, const char *status, size_t i)
{
    return pop3_line_out(s, "%s%zu %lld", status, i + 1, (long long)maildrop_item(s->drop, i).size);
}

/* The entry's id: it survives a move and is never given twice, so the id of a message stays for ever. */
static bool id_line(struct pop3 *s, const char *status, size_t i)
{
    char id[ID_TEXT + 1];

    id_format("ent", maildrop_item(s->drop, i).entry_id, id);
    return pop3_line_out(s, "%s%zu %s", status, i + 1, id);
}

static bool listing(struct pop3 *s, struct bytes arg, bool (*line)(struct pop3 *s, const char *status, size_t i))
{
    struct bytes number = pop3_argument(&arg);
    size_t i;

    if (number.p) {
        enum step found = pop3_message_number(s, number, &i);

        return found == STEP_DONE ? line(s, "+OK ", i) : step_alive(found);
    }
    if (!pop3_ok(s, "%zu messages", count(s) - s->n_marked))
        return false;
    for (i = 0; i < count(s); i++)
        if (!is_marked(s, i) && !line(s, "", i))
            return false;
    return pop3_line_out(s, ".");
}

bool pop3_list(struct pop3 *s, struct bytes arg)
{
    return listing(s, arg, size_line);
}

bool pop3_uidl(struct pop3 *s, struct bytes arg)
{
    return listing(s, arg, id_line);
}

bool pop3_dele(struct pop3 *s, struct bytes arg)
{
    size_t i;
    enum step found = pop3_message_number(s, pop3_argument(&arg), &i);

    if (found != STEP_DONE)
        return step_alive(found);
    s->marked[i / 8] = (uint8_t)(s->marked[i / 8] | 1u << (i % 8));
    s->n_marked++;
    s->octets -= maildrop_item(s->drop, i).size;
    return pop3_ok(s, "Message %zu is deleted at QUIT", i + 1);
}

bool pop3_rset(struct pop3 *s, struct bytes arg)
{
    (void)arg;
    memset(s->marked, 0, count(s) / 8 + 1);
    s->n_marked = s->last = 0;
    s->octets = octets_of_all(s);
    return pop3_ok(s, "%zu messages, %lld octets", count(s), (long long)s->octets);
}

bool pop3_last(struct pop3 *s, struct bytes arg)
{
    (void)arg;
    return pop3_ok(s, "%zu", s->last);
}

static void log_deleted(struct pop3 *s, size_t n, const char *result, const char *reason)
{
    char id[ID_TEXT + 1];

    log_info("pop3", LOG_BYTES("id", id_format("req", s->call.request, id)), LOG_BYTES("client", s->call.client_ip),
             LOG_BYTES("user", s->call.who->name), LOG_TEXT("result", result), LOG_INT("messages", n),
             LOG_INT("marked", s->n_marked), LOG_TEXT("reason", reason));
}

/* RFC 1939 section 6: only here are messages deleted. Where not all could be, the answer says how many were. */
static bool say_failed(struct pop3 *s, size_t deleted)
{
    log_deleted(s, deleted, "delete_failed", s->call.err.message);
    if (deleted)
        return pop3_hang_up(s, "[SYS/TEMP] %zu of %zu messages were deleted, the others stay: %s", deleted, s->n_marked,
                            err_told(&s->call.err));
    return pop3_hang_up(s, "[SYS/TEMP] Nothing was deleted: %s", err_told(&s->call.err));
}

bool pop3_quit(struct pop3 *s, struct bytes arg)
{
    struct err e;
    size_t deleted = 0;
    bool done = !s->n_marked || maildrop_delete(s->drop, &s->call, s->marked, s->n_marked, &deleted);

    (void)arg;
    maildrop_close(&s->drop); /* before the answer: a client that comes back at once finds it free */
    if (!done)
        return say_failed(s, deleted);
    if (s->n_marked)
        log_deleted(s, deleted, "deleted", NULL);
    if (pop3_ok(s, "Goodbye"))
        (void)stream_flush(s->stream, &e);
    return false;
}

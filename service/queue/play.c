#include "service/queue/play.h"

static const struct {
    const char *local;
    enum cause first;
} all_plays[] = {
    { "delivered", CAUSE_FILED },         { "bounced", CAUSE_PLAYED_REFUSAL }, { "deferred", CAUSE_PLAYED_DEFERRAL },
    { "expired", CAUSE_PLAYED_DEFERRAL }, { "suppressed", CAUSE_SUPPRESSED },  { "complained", CAUSE_FILED },
    { "unsubscribed", CAUSE_FILED },
};

/* The part of local before "+label". */
static struct bytes play_name(struct bytes email)
{
    struct bytes local = bytes_head(email, bytes_find_last(email, '@'));

    return bytes_head(local, bytes_find(local, '+'));
}

bool play_first(struct bytes email, enum cause *first)
{
    for (size_t i = 0; i < sizeof all_plays / sizeof *all_plays; i++)
        if (bytes_equal_nocase(play_name(email), bytes_of(all_plays[i].local))) {
            *first = all_plays[i].first;
            return true;
        }
    return false;
}

static bool plays(struct bytes email, const char *name)
{
    return bytes_ends(email, BYTES("@sandbox.test")) && bytes_equal_nocase(play_name(email), bytes_of(name));
}

bool play_complains(struct bytes email)
{
    return plays(email, "complained");
}

bool play_unsubscribes(struct bytes email)
{
    return plays(email, "unsubscribed");
}

enum cause play_next(struct bytes email)
{
    return bytes_equal_nocase(play_name(email), BYTES("expired")) ? CAUSE_TIME_OVER : CAUSE_FILED;
}

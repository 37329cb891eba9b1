#include "service/queue/play.h"

static const struct {
    const char *local;
    enum cause first;
} plays[] = {
    { "delivered", CAUSE_FILED },         { "bounced", CAUSE_PLAYED_REFUSAL }, { "deferred", CAUSE_PLAYED_DEFERRAL },
    { "expired", CAUSE_PLAYED_DEFERRAL }, { "suppressed", CAUSE_SUPPRESSED },  { "complained", CAUSE_FILED },
    { "unsubscribed", CAUSE_FILED },      { "opened", CAUSE_FILED },           { "clicked", CAUSE_FILED },
};

#define NOBODY "\"machine\":false,\"user_agent\":null,\"ip\":null}"

static const struct {
    const char *local, *event;
    struct bytes data;
} follows[] = {
    { "complained", "email.complained", { NULL, 0 } },
    { "unsubscribed", "email.unsubscribed", { NULL, 0 } },
    { "opened", "email.opened", BYTES_ROW("{" NOBODY) },
    { "clicked", "email.clicked", BYTES_ROW("{\"url\":\"https://sandbox.test/\"," NOBODY) },
};

/* The part of local before "+label". */
static struct bytes play_name(struct bytes email)
{
    struct bytes local = bytes_head(email, bytes_find_last(email, '@'));

    return bytes_head(local, bytes_find(local, '+'));
}

bool play_first(struct bytes email, enum cause *first)
{
    for (size_t i = 0; i < sizeof plays / sizeof *plays; i++)
        if (bytes_equal_nocase(play_name(email), bytes_of(plays[i].local))) {
            *first = plays[i].first;
            return true;
        }
    return false;
}

const char *play_follows(struct bytes email, struct bytes *data)
{
    *data = NO_BYTES;
    for (size_t i = 0; bytes_ends(email, BYTES("@sandbox.test")) && i < sizeof follows / sizeof *follows; i++)
        if (bytes_equal_nocase(play_name(email), bytes_of(follows[i].local))) {
            *data = follows[i].data;
            return follows[i].event;
        }
    return NULL;
}

enum cause play_next(struct bytes email)
{
    return bytes_equal_nocase(play_name(email), BYTES("expired")) ? CAUSE_TIME_OVER : CAUSE_FILED;
}

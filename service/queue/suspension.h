/* service/queue/suspension.h - what is kept from leaving, or slowed down, until somebody says otherwise or its time is
 * over.
 *
 * | scope    | match                                 | what it stops                                               |
 * | site     | a recipient domain, or "*.x"          | mail to that domain                                         |
 * | provider | a name of mail/providers.json         | mail to hosts of that provider                              |
 * | path     | a name as GET /v1/queue shows it      | mail to that group of hosts                                 |
 * | source   | a name of ours that mail leaves under | mail that would leave there: we have one, "default"         |
 * | account  | an account's id                       | all its mail                                                |
 * | stream   | a stream's id                         | its mail                                                    |
 * | tag      | "name=value", or a name               | mail of the account that bears it: held row by row, as each |
 * |          |                                       | falls due, so that no claim meets it again and again        |
 * Who sends looks when it chooses what comes next, and again before MAIL. `slow` leaves so many connections (provider,
 * path, source) or so many recipients a minute. At its end a path begins narrow (w = 1), and what a tag's held is
 * released by an action (action.h). Tenants stop their account and their tags, the rest is the operator's.
 *
 * An account that is disabled stops its mail likewise, and so does a stream that is paused (identity/stream.h): what is
 * here of them comes of their own rows. With them comes the pace of each stream that has one.
 *
 * All nodes know them: the copy here is made anew when a nudge says so (nudges.h), which is within a moment, and by the
 * node that changed them at once. */
#ifndef SERVICE_SUSPENSION_H
#define SERVICE_SUSPENSION_H
#include "service/core/call.h"

enum suspension_scope {
    SUSPEND_SITE,
    SUSPEND_PROVIDER,
    SUSPEND_SOURCE,
    SUSPEND_PATH,
    SUSPEND_ACCOUNT,
    SUSPEND_STREAM,
    SUSPEND_TAG,
    SUSPEND_SCOPES
};

struct suspension {
    struct id id;      /* none: an account that is disabled, a stream that is paused */
    struct id account; /* of a tag, or an account */
    enum suspension_scope scope;
    struct bytes match, reason;
    bool slow;
    int64_t connections, per_minute; /* of a slow one; 0: not limited */
    int64_t expires_at;              /* by the store's clock; 0: it does not end by itself */
};

/* What is asked about; NO_BYTES, NO_ID: that is not known, and matches nothing. */
struct suspend_query {
    struct bytes site, provider, path, source, stream;
    struct id account;
    struct bytes tags; /* as message_row has them */
};

/* What is in force for it: one that stops before those that slow, then the older one; NULL: nothing. Pure. */
const struct suspension *suspension_match(const struct suspension *list, size_t n, const struct suspend_query *q,
                                          int64_t now);
/* "name=value" or "name" against [{"name":…,"value":…}, …]. */
bool tag_holds(struct bytes pattern, struct bytes tags);
/* Does this one match? Without regard to its time. */
bool suspension_matches(const struct suspension *s, const struct suspend_query *q);

/* ---- what is in force, as this node knows it ---- */

struct suspensions;
struct suspensions *suspensions_new(void);
void suspensions_free(struct suspensions **s);
bool suspensions_load(struct service *svc, struct err *e);
/* Rises with each change, and when one ends. Any thread; costs nothing. */
uint64_t suspensions_version(struct service *svc);
/* A copy of what is in force, the oldest first. */
void suspensions_copy(struct service *svc, struct arena *a, struct suspension **list, size_t *n);
/* The streams that have a pace: so many recipients a second. `stream` as flows have it. */
struct stream_pace {
    struct bytes stream;
    int64_t per_second;
};
void suspensions_paces(struct service *svc, struct arena *a, struct stream_pace **list, size_t *n);
/* Is the account disabled? Any thread; as this node knows it. */
bool suspensions_disabled(struct service *svc, struct id account);
/* Takes away what is past its time. */
bool suspensions_end_past(struct service *svc, struct arena *a, struct err *e);

/* ---- the API ---- */

struct suspension_list_in {
    struct page page;
};
struct suspension_list_out {
    struct suspension_row *rows;
    size_t n;
    struct page_out page;
};
bool suspension_list(struct call *c, const struct suspension_list_in *in, struct suspension_list_out *out);
struct suspension_create_in {
    struct suspension_row given;
    uint64_t named; /* of suspension_members */
};
bool suspension_create(struct call *c, const struct suspension_create_in *in, struct suspension_row *out);
struct suspension_get_in {
    struct bytes id;
};
bool suspension_get(struct call *c, const struct suspension_get_in *in, struct suspension_row *out);
struct suspension_delete_in {
    struct bytes id;
}; /* what it stopped goes on */
bool suspension_delete(struct call *c, const struct suspension_delete_in *in, void *out);
#endif

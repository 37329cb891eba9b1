/* mail/prefetch.h - programs that load the pictures of a mail, or follow its links, without anybody who reads it: mail
 * services that fetch ahead, filters that look for what is bad, link previews, robots. As data: "prefetchers" of
 * mail/rules.h's files, the shipped ones in mail/prefetchers.json.
 *
 *     {"prefetchers": [{"name": "gateways", "agents": ["*Scanner*"], "networks": ["192.0.2.0/24"]}, …]}
 *
 * One matches when the User-Agent is one of `agents` (all of it, ASCII case-blind, `*` for any text or none; "" is who
 * names none) and the address lies in one of `networks`; a list that is not there asks for nothing. Pure. */
#ifndef MAIL_PREFETCH_H
#define MAIL_PREFETCH_H
#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/network.h"

enum { PREFETCHERS_MAX = 1000, PREFETCH_LIST_MAX = 1000, PREFETCH_PATTERN_MAX = 200 };

struct prefetcher {
    struct bytes name;
    const struct bytes *agents;
    const struct network *networks;
    size_t n_agents, n_networks;
};

/* One item of the list, the `number`th from 0, for messages. */
bool prefetcher_read(struct json_object *o, size_t number, struct arena *a, struct prefetcher *out, struct err *e);
/* The first that matches, or NULL. `address` NULL: it is not known, and lies in no network. */
const struct prefetcher *prefetcher_find(const struct prefetcher *list, size_t n, struct bytes agent,
                                         const struct network *address);
#endif

/* delivery/script.h - the words of a dialogue, as people want to see them afterwards: who said what, and when.
 *
 *     script_begin(&s, now)                          a new attempt; what was there is forgotten
 *     script_add(&s, SCRIPT_OUT, line, now)          as it goes by, without its line end
 *     json = script_json(&s, arena)
 *
 * Of a long one the first and the last SCRIPT_KEPT bytes are kept, and a note tells that something is missing between.
 * Secrets and content are never given: whoever says them gives their size in a note. Pure; one thread. */
#ifndef DELIVERY_SCRIPT_H
#define DELIVERY_SCRIPT_H
#include "base/arena.h"

enum { SCRIPT_KEPT = 8192, SCRIPT_LINE_MOST = 1024 };

enum script_who { SCRIPT_OUT, SCRIPT_IN, SCRIPT_NOTE };

struct script {
    struct buf head, tail; /* entries, one behind the other */
    int64_t began;
    bool cut; /* something between head and tail is gone */
};

void script_init(struct script *s);
void script_clear(struct script *s);
void script_begin(struct script *s, int64_t now);
/* `s` may be NULL: nobody wants to know. */
void script_add(struct script *s, enum script_who who, struct bytes text, int64_t now);
/* [{"ms":0,"from":"us","text":"EHLO mail.example.org"},{"ms":12,"from":"peer","text":"250 …"}]; "note" for ours that
 * was not said. NO_BYTES: nothing was said at all. */
struct bytes script_json(const struct script *s, struct arena *a);
#endif

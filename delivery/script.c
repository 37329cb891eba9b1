/* delivery/script.c - the words of a dialogue, see script.h. An entry is its time, its speaker, its length and its
 * text; the tail gives its oldest entries away as new ones come, some at a time. */
#include "delivery/script.h"
#include "base/json.h"
#include <string.h>

struct entry {
    uint32_t ms;
    uint16_t n;
    uint16_t who;
};

void script_init(struct script *s)
{
    *s = (struct script){ 0 };
    buf_init(&s->head, SCRIPT_KEPT);
    buf_init(&s->tail, 2 * SCRIPT_KEPT);
}

void script_clear(struct script *s)
{
    buf_clear(&s->head);
    buf_clear(&s->tail);
}

void script_begin(struct script *s, int64_t now)
{
    buf_reset(&s->head);
    buf_reset(&s->tail);
    s->began = now;
    s->cut = false;
}

static struct entry entry_at(const struct buf *b, size_t at)
{
    struct entry e;

    memcpy(&e, b->p + at, sizeof e);
    return e;
}

/* The oldest go, until what is left is what is kept. */
static void shorten(struct script *s)
{
    size_t at = 0;

    while (s->tail.n - at > SCRIPT_KEPT - SCRIPT_LINE_MOST - sizeof(struct entry))
        at += sizeof(struct entry) + entry_at(&s->tail, at).n;
    memmove(s->tail.p, s->tail.p + at, s->tail.n - at);
    s->tail.n -= at;
    s->cut = true;
}

void script_add(struct script *s, enum script_who who, struct bytes text, int64_t now)
{
    struct bytes kept = bytes_head(text, SCRIPT_LINE_MOST);
    struct entry e = { .ms = (uint32_t)(s ? now - s->began : 0), .n = (uint16_t)kept.n, .who = (uint16_t)who };
    struct buf *to;

    if (!s)
        return;
    to = !s->tail.n && s->head.n + sizeof e + kept.n <= SCRIPT_KEPT ? &s->head : &s->tail;
    if (to == &s->tail && to->n + sizeof e + kept.n > 2 * (size_t)SCRIPT_KEPT)
        shorten(s);
    buf_add(to, (struct bytes){ (const char *)&e, sizeof e });
    buf_add(to, kept);
}

static void write_all(struct jw *w, const struct buf *b, size_t from)
{
    static const char *const names[] = { "us", "peer", "note" };

    for (size_t at = from; at < b->n;) {
        struct entry e = entry_at(b, at);

        jw_object(w);
        jw_key_int(w, "ms", e.ms);
        jw_key_text(w, "from", bytes_of(names[e.who]));
        jw_key_text(w, "text", (struct bytes){ b->p + at + sizeof e, e.n });
        jw_object_end(w);
        at += sizeof e + e.n;
    }
}

/* Where the last SCRIPT_KEPT bytes begin. */
static size_t tail_from(const struct script *s)
{
    size_t at = 0;

    while (s->tail.n - at > SCRIPT_KEPT)
        at += sizeof(struct entry) + entry_at(&s->tail, at).n;
    return at;
}

struct bytes script_json(const struct script *s, struct arena *a)
{
    size_t from = tail_from(s);
    struct bytes json;
    struct buf out;
    struct jw w;

    if (!s->head.n)
        return NO_BYTES;
    buf_init(&out, 256 * 1024);
    jw_init(&w, &out);
    jw_array(&w);
    write_all(&w, &s->head, 0);
    if (s->cut || from) {
        jw_object(&w);
        jw_key_int(&w, "ms", entry_at(&s->tail, from).ms);
        jw_key_text(&w, "from", BYTES("note"));
        jw_key_text(&w, "text", BYTES("something between is not kept"));
        jw_object_end(&w);
    }
    write_all(&w, &s->tail, from);
    jw_array_end(&w);
    json = out.overflowed ? NO_BYTES : arena_copy(a, buf_bytes(&out));
    buf_clear(&out);
    return json;
}

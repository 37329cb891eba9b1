/* service/core/list.h - inside service/: what lists are made of; most need call_list alone (service/core/call.h). */
#ifndef SERVICE_LIST_H
#define SERVICE_LIST_H
#include "service/core/shown.h"

/* Reads the page into q: direction, cursor, limit (one more than is shown). What is wrong are faults. */
bool list_page(struct call *c, struct query *q, const struct page *page);

/* How a page ended, in reading order. */
struct list_end {
    bool more;
    struct bytes first, last; /* cursors of the first and the last row; last: of where the look ended */
    int64_t searched_to;
};

/* call_list of rows that are shown as several; what the index does not look up is judged by what they show. */
bool call_list_shown(struct call *c, struct query *q, const struct shown *as, const struct page *page, void **rows,
                     size_t *n, struct page_out *out);

/* A walk along an index, narrow and bounded: see list.c. `take` says of rows which row each leads to, NO_ID for one
 * that does not fit. */
#define LOOK_CHUNK 250
#define LOOK_NAMES 32
#define LOOK_PLACE 8192
#define LOOK_MOST  100
struct look {
    struct query query; /* its `only` is what take and the cursors need */
    size_t limit;       /* of the page */
    bool (*take)(struct call *c, struct look *l, const void *rows, size_t n, struct id *fits);
    const struct shown *shown; /* NULL: rows are shown as they are */
    /* the walk's own */
    const char *names[LOOK_NAMES];
    bool full;       /* there is one more than the page holds */
    bool end;        /* nothing is left behind what was looked at */
    size_t looked;   /* rows */
    int64_t last_at; /* when the last that was looked at was made */
    struct bytes after;
    struct buf place, places;
    struct id ids[LOOK_MOST]; /* what fits, in reading order; behind each its place, `ends` in `places` */
    struct id of[LOOK_MOST];  /* the row to load for each */
    size_t ends[LOOK_MOST], n;
};
/* Looks, until the page is full; look_end always. */
bool look_run(struct call *c, struct look *l, struct list_end *end);
/* Then loads what fits, rows of kind k, in reading order; what is gone meanwhile is left out. */
bool look_load(struct call *c, const struct look *l, const struct kind *k, void **rows, size_t *n,
               struct list_end *end);
void look_end(struct look *l);
struct bytes look_place(struct call *c, const struct look *l, size_t i); /* the cursor of the i-th that fits */
/* Rows in list order, and what is said of the page. */
void list_turn(struct call *c, const struct page *page, struct list_end *end, void *rows, size_t n, size_t size,
               struct page_out *out);
#endif

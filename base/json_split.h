/* base/json_split.h - the members of a JSON object, or the items of an array, one after the other, as texts: for a text
 * of many parts, of which each is then read by itself (json_read) and forgotten before the next.
 *
 *     if (json_split_begin(&s, text))
 *         while (json_split_next(&s, &key, &value)) ...
 *     if (s.wrong) ...
 * What stands between the parts is judged here, what is in them by whoever reads them. A key is given as it stands
 * between its quotes, with its escapes. Linear, no memory of its own. Pure. */
#ifndef BASE_JSON_SPLIT_H
#define BASE_JSON_SPLIT_H
#include "base/bytes.h"

struct json_split {
    struct bytes text;
    size_t at;
    char end;   /* '}' or ']' */
    bool begun; /* a part came before */
    bool wrong; /* it is no JSON from `at` on */
};

/* False: it is neither object nor array. */
bool json_split_begin(struct json_split *s, struct bytes text);
bool json_split_is_array(const struct json_split *s);
/* False at the end, or with s->wrong. `key` is NO_BYTES in an array. */
bool json_split_next(struct json_split *s, struct bytes *key, struct bytes *value);
#endif

/* mail/auth/tags.c: see tags.h */
#include "mail/auth/tags.h"
#include "mail/chars.h"

static bool is_tag_name(struct bytes name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!char_is_alnum(name.p[i]) && name.p[i] != '_')
            return false;
    return name.n && char_is_letter(name.p[0]);
}

/* tag-value: no control characters but those of folding. U-labels may stand there (RFC 8616). */
static bool is_tag_value(struct bytes value)
{
    for (size_t i = 0; i < value.n; i++)
        if (char_is_control(value.p[i]) && !char_is_blank(value.p[i]))
            return false;
    return true;
}

const struct tag *tags_find(const struct tags *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++)
        if (bytes_equal(t->list[i].name, bytes_of(name)))
            return &t->list[i];
    return NULL;
}

struct bytes tags_value(const struct tags *t, const char *name)
{
    const struct tag *tag = tags_find(t, name);

    return tag ? tag->value : NO_BYTES;
}

static bool is_known(const struct tags *t, struct bytes name)
{
    for (size_t i = 0; i < t->n; i++)
        if (bytes_equal(t->list[i].name, name))
            return true;
    return false;
}

static bool take(struct tags *t, struct bytes part)
{
    struct tag tag;

    if (t->n == TAGS_MAX || !bytes_cut(part, '=', &tag.name, &tag.raw))
        return false;
    if (!tag.raw.p)
        tag.raw = bytes_from(part, part.n);
    tag.name = bytes_trim(tag.name);
    tag.value = bytes_trim(tag.raw);
    if (!is_tag_name(tag.name) || !is_tag_value(tag.value) || is_known(t, tag.name))
        return false;
    t->list[t->n++] = tag;
    return true;
}

bool tags_read(struct bytes text, struct tags *out)
{
    struct bytes part, rest = text;

    out->n = 0;
    while (bytes_trim(rest).n) {
        bytes_cut(rest, ';', &part, &rest);
        if (!take(out, part))
            return false;
    }
    return out->n > 0;
}

bool tags_lists(struct bytes value, const char *word)
{
    struct bytes one, rest = value;

    while (rest.n) {
        bytes_cut(rest, ':', &one, &rest);
        if (bytes_equal_nocase(bytes_trim(one), bytes_of(word)))
            return true;
    }
    return false;
}

bool tags_number(struct bytes value, int64_t *out)
{
    for (size_t i = 0; i < value.n; i++)
        if (!char_is_digit(value.p[i]))
            return false;
    return value.n && value.n <= 18 && bytes_to_int(value, out);
}

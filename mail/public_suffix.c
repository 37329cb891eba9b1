#include "mail/public_suffix.h"
#include <libpsl.h>

struct suffixes {
    psl_ctx_t *list;
};

bool suffixes_open(const char *path, struct suffixes **out, struct err *e)
{
    psl_ctx_t *list = path ? psl_load_file(path) : psl_latest(NULL);

    if (!list)
        return err_set(e, ERR_INVALID, "There is no list of public suffixes%s%s", path ? " in " : "", path ? path : "");
    *out = malloc(sizeof **out);
    if (!*out)
        die("no memory");
    (*out)->list = list;
    return true;
}

void suffixes_close(struct suffixes **s)
{
    if (*s)
        psl_free((*s)->list);
    free(*s);
    *s = NULL;
}

/* What libpsl gives is the end of the text that it was given. */
static struct bytes ending(struct bytes domain, const char *end)
{
    return end ? bytes_from(domain, domain.n - strlen(end)) : NO_BYTES;
}

void suffixes_find(const struct suffixes *s, struct bytes domain, struct arena *a, struct bytes *suffix,
                   struct bytes *registered)
{
    const char *text = arena_text(a, domain);

    *suffix = *registered = NO_BYTES;
    if (!domain.n || domain.p[0] == '[')
        return;
    *suffix = ending(domain, psl_unregistrable_domain(s->list, text));
    *registered = ending(domain, psl_registrable_domain(s->list, text));
}

#include "service/core/scope.h"

static const char *const names[SCOPES] = {
#define X(name, text) text,
    SCOPE_LIST(X)
#undef X
};

const char *scope_name(enum scope_number n)
{
    return names[n];
}

unsigned scope_of(struct bytes name)
{
    for (unsigned i = 0; i < SCOPES; i++)
        if (bytes_equal(name, bytes_of(names[i])))
            return 1u << i;
    return 0;
}

void scopes_show(struct jw *w, unsigned scopes)
{
    jw_array(w);
    for (unsigned i = 0; i < SCOPES; i++)
        if (scopes & (1u << i))
            jw_text(w, bytes_of(names[i]));
    jw_array_end(w);
}

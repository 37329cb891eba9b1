#include "store/kind.h"
#include <assert.h>

const struct field *kind_field(const struct kind *k, const char *name)
{
    for (size_t i = 0; i < k->n_fields; i++)
        if (k->fields[i].name == name || strcmp(k->fields[i].name, name) == 0)
            return &k->fields[i];
    return NULL;
}

const struct index *kind_index(const struct kind *k, const char *name)
{
    for (size_t i = 0; i < k->n_indexes; i++)
        if (k->indexes[i].name == name || strcmp(k->indexes[i].name, name) == 0)
            return &k->indexes[i];
    return NULL;
}

static void check_index(const struct kind *k, const struct index *x)
{
    for (size_t i = 0; i < INDEX_FIELDS && x->fields[i]; i++) {
        const struct field *f = kind_field(k, x->fields[i]);

        assert(f && f->type != FIELD_JSON && (f->type != FIELD_BYTES || x->unique));
    }
    assert(x->fields[0] && (!x->when || kind_field(k, x->when)));
    assert(!x->feed || (k->watched && !x->unique && !x->fields[1] && !x->when));
}

void kind_check(const struct kind *k)
{
    assert(k->n_fields > 0 && k->n_fields <= 64);
    assert(k->fields[0].type == FIELD_ID && strcmp(k->fields[0].name, "id") == 0);
    for (size_t i = 0; i < k->n_indexes; i++)
        check_index(k, &k->indexes[i]);
}

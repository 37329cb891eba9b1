#include "store/kind.h"

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

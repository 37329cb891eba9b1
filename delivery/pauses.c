#include "delivery/pauses.h"
#include "base/param_value.h"

bool pauses_read(const char *name, const char *least, struct bytes list, struct pauses *out, struct err *e)
{
    const struct param_row item = {
        .name = name, .type = PARAM_TYPE_DURATION, .standard = "1m", .min = least, .max = "1d", .text = ""
    };
    struct pauses read = { .n = 0 };
    struct param_value value;
    struct bytes one;

    while (list.n) {
        bytes_cut(list, ',', &one, &list);
        if (read.n == PAUSES_MAX)
            return err_set(e, ERR_INVALID, "%s has at most %d steps", name, PAUSES_MAX);
        if (!param_value_read(&item, bytes_trim(one), &value, e))
            return false;
        read.ms[read.n++] = value.number;
    }
    if (!read.n)
        return err_set(e, ERR_INVALID, "%s needs a step", name);
    *out = read;
    return true;
}

int64_t pauses_nth(const struct pauses *p, int64_t n)
{
    size_t i = n > 0 ? (size_t)n - 1 : 0;

    return p->ms[i < p->n ? i : p->n - 1];
}

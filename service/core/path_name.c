#include "service/core/path_name.h"
#include "base/id.h"

static const char *const reserved[] = { "render", "check", "remove" };

bool path_name_ok(struct bytes name, const char *prefix)
{
    struct id ignored;

    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (bytes_equal(name, bytes_of(reserved[i])))
            return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (i && (c == '-' || c == '_' || c == '.'))))
            return false;
    }
    return name.n && name.n <= PATH_NAME_MAX && !id_parse(prefix, name, &ignored);
}

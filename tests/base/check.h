/* tests/base/check.h - what every cmocka program here needs: cmocka with its headers in the order it wants, comparing
 * bytes, and where the public suites lie. */
#ifndef TESTS_BASE_CHECK_H
#define TESTS_BASE_CHECK_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"

#define assert_bytes(got, want)                                                                                        \
    do {                                                                                                               \
        struct bytes got_ = (got), want_ = (want);                                                                     \
        if (!bytes_equal(got_, want_))                                                                                 \
            fail_msg("got \"%.*s\", want \"%.*s\"", SHOW(got_), SHOW(want_));                                          \
    } while (0)

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* POSTRIDER_SUITES, or ../shared/suites beside the repository. */
static inline const char *suites_folder(void)
{
    const char *folder = getenv("POSTRIDER_SUITES");

    return folder ? folder : "../shared/suites";
}

/* A whole file into a buf of at most 64 MiB; false when it cannot be read. buf_clear it. */
static inline bool read_whole(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "rb");
    char part[4096];
    size_t n = 0;

    if (!f)
        return false;
    buf_init(out, 64 << 20);
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        buf_add(out, (struct bytes){ part, n });
    fclose(f);
    return !out->overflowed;
}
#endif

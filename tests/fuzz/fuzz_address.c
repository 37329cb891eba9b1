/* Addresses: what the strict readers take is stable (read again, it is the same), lists never harm. */
#include "base/params.h"
#include "mail/address.h"
#include "tests/mail/plenty.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const struct address *first, struct arena *a)
{
    struct address second;
    struct err e = { 0 };

    assert(!bytes_has_ctl_line(first->email));
    assert(address_parse(first->email, a, &second, &e));
    assert(bytes_equal(first->email, second.email) && bytes_equal(first->local, second.local));
}

/* What is written of a path is the same path. */
static void path_again(const struct address *first, unsigned how, struct arena *a)
{
    struct address second;
    struct bytes rest;
    struct err e = { 0 };

    assert(!bytes_has_ctl_line(first->email) && bytes_is_utf8(first->email));
    assert(path_parse(arena_bytesf(a, "<%.*s>", SHOW(first->email)), how, a, &second, &rest, &e));
    assert(bytes_equal(first->email, second.email) && rest.n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct bytes text = { size ? (const char *)data : "", size }, out, rest;
    struct arena *a = arena_new(16 << 20);
    struct address address;
    struct address_list list;
    struct err e = { 0 };

    if (!ready)
        params_init();
    ready = true;
    if (address_parse(text, a, &address, &e))
        again(&address, a);
    if (mailbox_parse(text, a, &address, &e))
        again(&address, a);
    if (path_parse(text, PATH_SENDER | PATH_BARE, a, &address, &rest, &e) && address.domain.p)
        path_again(&address, PATH_SENDER, a);
    if (path_parse(text, 0, a, &address, &rest, &e) && address.domain.p) {
        path_again(&address, 0, a);
        assert(address_normalize(&address, true, a, &out, &e));
    }
    if (domain_normalize(text, a, &out, &e) && out.p[0] != '[') {
        struct bytes twice;

        assert(domain_normalize(out, a, &twice, &e) && bytes_equal(out, twice));
    }
    address_list_parse(text, 100, plenty, a, &list);
    arena_free(&a);
    return 0;
}

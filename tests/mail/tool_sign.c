/* Signs files as mail that leaves is signed, for test_dkim_peers.py: FILE.signed for each, the public halves on
 * standard output ("SELECTOR RECORD"). mail_tool_sign DOMAIN FILE... */
#include "tests/base/check.h"

#include "base/crypt.h"
#include "mail/dkim_sign.h"

static void sign_file(const struct dkim_signing *s, const char *name)
{
    struct buf message, out;
    struct dkim_body b;
    struct err e = { 0 };
    uint8_t hash[DKIM_HASH];
    char to[512];
    size_t end = 0;
    FILE *f = NULL;

    if (!read_whole(name, &message))
        die("%s cannot be read", name);
    buf_init(&out, message.n + (1 << 20));
    end = header_end(buf_bytes(&message));
    dkim_body_begin(&b);
    for (struct bytes rest = bytes_from(buf_bytes(&message), end + 2); rest.n; rest = bytes_from(rest, 777))
        dkim_body_feed(&b, bytes_head(rest, 777));
    dkim_body_end(&b, hash);
    if (!dkim_sign(s, buf_bytes(&message), hash, &out, &e))
        die("%s: %s", name, e.message);
    buf_add(&out, buf_bytes(&message));
    snprintf(to, sizeof to, "%s.signed", name);
    f = fopen(to, "wb");
    if (!f || fwrite(out.p, 1, out.n, f) != out.n || fclose(f) != 0)
        die("%s cannot be written", to);
    buf_clear(&message);
    buf_clear(&out);
}

static struct dkim_key *make(enum dkim_algorithm algorithm, const char *selector)
{
    struct dkim_key *key = NULL;
    struct err e = { 0 };
    struct buf record;

    if (!dkim_key_new(algorithm, &key, &e))
        die("%s", e.message);
    buf_init(&record, 4096);
    dkim_key_record(key, &record);
    printf("%s %.*s\n", selector, SHOW(buf_bytes(&record)));
    buf_clear(&record);
    return key;
}

int main(int argc, char **argv)
{
    struct dkim_by by[] = { { NULL, BYTES_ROW("rsa1") }, { NULL, BYTES_ROW("ed1") } };
    struct dkim_signing s = { .by = by, .n_by = 2, .now = (int64_t)time(NULL) * 1000 };
    struct dkim_key *rsa = NULL, *ed = NULL;

    if (argc < 3)
        die("mail_tool_sign DOMAIN FILE...");
    crypt_init();
    by[0].key = rsa = make(DKIM_RSA, "rsa1");
    by[1].key = ed = make(DKIM_ED25519, "ed1");
    s.domain = bytes_of(argv[1]);
    for (int i = 2; i < argc; i++)
        sign_file(&s, argv[i]);
    dkim_key_free(&rsa);
    dkim_key_free(&ed);
    return 0;
}

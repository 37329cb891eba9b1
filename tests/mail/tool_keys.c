/* Makes the RSA keys that a fault build takes with POSTRIDER_TEST_RSA_KEYS=FOLDER (mail/dkim_key.c), while it builds:
 * FOLDER/0.pem and so on. mail_tool_keys FOLDER NUMBER */
#include "base/crypt.h"
#include "base/err.h"
#include "mail/dkim_key.h"
#include <stdio.h>

static void make(const char *folder, int number)
{
    struct dkim_key *key = NULL;
    struct err e = { 0 };
    struct buf pem;
    char path[512];
    FILE *f = NULL;

    if (!dkim_key_new(DKIM_RSA, &key, &e))
        die("%s", e.message);
    buf_init(&pem, DKIM_KEY_TEXT_MAX);
    dkim_key_write(key, &pem);
    snprintf(path, sizeof path, "%s/%d.pem", folder, number);
    f = fopen(path, "w");
    if (!f || fwrite(pem.p, 1, pem.n, f) != pem.n || fclose(f) != 0)
        die("%s cannot be written", path);
    buf_clear(&pem);
    dkim_key_free(&key);
}

int main(int argc, char **argv)
{
    int64_t n;

    if (argc != 3 || !bytes_to_int(bytes_of(argv[2]), &n))
        die("mail_tool_keys FOLDER NUMBER");
    crypt_init();
    for (int i = 0; i < (int)n; i++)
        make(argv[1], i);
    return 0;
}

/* Writes reports of several forms, for test_report_peers.py: FOLDER/NAME.eml.
 *   mail_tool_report FOLDER */
#include "tests/base/check.h"

#include "mail/dsn.h"

#define HEADER                                                                                                         \
    "From: ana@example.org\r\nTo: bo@example.net\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n"                          \
    "Message-ID: <1@example.org>\r\n"

static void write_one(const char *folder, const char *name, const struct dsn *d)
{
    struct arena *a = arena_new(16 << 20);
    struct buf out;
    struct err e = { 0 };
    char path[1024];
    FILE *f = NULL;

    buf_init(&out, 4 << 20);
    if (!dsn_write(d, a, &out, &e))
        die("%s: %s", name, e.message);
    snprintf(path, sizeof path, "%s/%s.eml", folder, name);
    f = fopen(path, "wb");
    if (!f || fwrite(out.p, 1, out.n, f) != out.n || fclose(f) != 0)
        die("%s cannot be written", path);
    buf_clear(&out);
    arena_free(&a);
}

int main(int argc, char **argv)
{
    struct dsn_recipient list[] = {
        { .address = BYTES_ROW("bo@example.net"),
          .original = BYTES_ROW("rfc822;bo+1@example.com"),
          .status = BYTES_ROW("5.1.1"),
          .remote_mta = BYTES_ROW("mx.example.net"),
          .reply = BYTES_ROW("550 5.1.1 <b>No</b> such \xC3\xBCser"),
          .why = WHY_UNKNOWN_USER,
          .last_attempt = 1795860000000 },
        { .address = BYTES_ROW("cy@example.net"),
          .action = DSN_DELAYED,
          .status = BYTES_ROW("4.4.1"),
          .reason = BYTES_ROW("No server of example.net could be reached"),
          .why = WHY_NETWORK,
          .retry_until = 1795960000000 },
    };
    struct dsn d = { .host = BYTES_ROW("mx.example.org"),
                     .to = BYTES_ROW("ana@example.org"),
                     .message_id = BYTES_ROW("<r1@mx.example.org>"),
                     .envelope_id = BYTES_ROW("e1"),
                     .header = BYTES_ROW(HEADER),
                     .arrived = 1795850000000,
                     .date = 1795860000000,
                     .recipients = list,
                     .n = 2 };

    if (argc != 2)
        die("mail_tool_report FOLDER");
    write_one(argv[1], "header", &d);
    d.whole = BYTES("Subject: x\r\n\r\nHello\r\n--=_dsn\r\n");
    write_one(argv[1], "whole", &d);
    d.whole = BYTES("Subject: x\r\n\r\nGr\xC3\xBC\xC3\x9F"
                    "e\r\n");
    write_one(argv[1], "whole-8bit", &d);
    list[0].address = BYTES("b\xC3\xB6@example.net");
    write_one(argv[1], "global", &d);
    return 0;
}
